"use strict";

// A browser submits an empty value for a number that it cannot parse, such as "0,6" in some
// locales. An empty value is legal in some fields, so the server could not tell the difference.
document.querySelector("#content-main form").addEventListener("submit", (event) => {
    const unreadable = [...event.target.elements].find((field) => field.validity.badInput);
    if (unreadable) {
        event.preventDefault();
        unreadable.reportValidity();
    }
});

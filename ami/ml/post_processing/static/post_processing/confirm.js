"use strict";

// A browser sends an empty text for a number that it cannot read, such as "0,6" in some languages,
// and an empty one may be a choice.
document.querySelector("#content-main form").addEventListener("submit", (event) => {
    const unreadable = [...event.target.elements].find((field) => field.validity.badInput);
    if (unreadable) {
        event.preventDefault();
        unreadable.reportValidity();
    }
});

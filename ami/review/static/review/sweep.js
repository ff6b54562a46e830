// A click on a point of the chart opens the page of options with its value.
"use strict";

document.addEventListener("click", event => {
    const value = event.target.dataset?.value;
    if (value !== undefined && event.target.classList.contains("dot")) {
        const buttons = [...document.querySelectorAll("#use button")];
        buttons.find(button => button.value === value)?.click();
    }
});

// Methods run on single rows: while one is chosen, the list does not offer to select all pages.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("select[name=action]").forEach((choice) => {
        const actions = choice.closest(".actions");
        const follow = () => actions?.classList.toggle("of-method", choice.value.startsWith("run_"));
        choice.addEventListener("change", follow);
        follow();
    });
});

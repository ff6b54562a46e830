"use strict";

const form = document.querySelector("#content-main form");

// A browser submits an empty value for a number that it cannot parse, such as "0,6" in some
// locales. An empty value is legal in some fields, so the server could not tell the difference.
form.addEventListener("submit", (event) => {
    const unreadable = [...form.elements].find((field) => field.validity.badInput);
    if (unreadable) {
        event.preventDefault();
        unreadable.reportValidity();
    }
});

// The page of a large selection is shown before its rows are counted.
if (form.dataset.counts) {
    count(document.getElementById("counting"));
}

async function count(note) {
    note.hidden = false;
    const asked = new FormData(form);
    asked.append(form.dataset.counts, "1");
    try {
        // `form.action` would be the field of that name.
        const response = await fetch(form.getAttribute("action") ?? "", {method: "POST", body: asked});
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        form.querySelectorAll("[data-counted]").forEach((part) => {
            update(part, page.getElementById(part.id));
        });
    } catch {
        note.textContent = "The rows could not be counted. Reload the page to try again.";
    }
}

// Show the counts, and keep what was typed in the meantime.
function update(part, counted) {
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    for (const field of part.querySelectorAll("input, select, textarea")) {
        const fresh = field.id && counted.querySelector(`#${CSS.escape(field.id)}`);
        if (!fresh) {
            continue;
        }
        fresh.checked = field.checked;
        if (!fresh.options || [...fresh.options].some((option) => option.value === field.value)) {
            fresh.value = field.value;
        }
    }
    part.replaceChildren(...counted.childNodes);
    if (focused) {
        document.getElementById(focused)?.focus();
    }
}

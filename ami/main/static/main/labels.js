// Names the fields that the admin's own widgets leave without a name for screen readers.
"use strict";
{
    const text = (element) => {
        const picture = element && element.querySelector("img[alt]");
        return element ? element.textContent.trim() || (picture ? picture.alt : "") : "";
    };

    // The name of a field, from its label, its column or the heading above it.
    const nameOf = (field) => {
        const own = field.getAttribute("aria-label") || text(field.labels && field.labels[0]);
        if (own) {
            return own;
        }
        const cell = field.closest(".tabular td");
        if (cell) {
            const columns = cell.closest("table").querySelectorAll("thead th");
            // The cell with the row's name and hidden fields has no column of its own.
            const before = [...cell.parentElement.children].filter((one) => one.matches("td"));
            return text(columns[before.indexOf(cell)]);
        }
        const group = field.closest("fieldset, details, .form-row");
        return text(group && group.querySelector("legend, summary, label"));
    };

    const nameSelect2 = (select) => {
        const name = nameOf(select);
        const box = select.nextElementSibling;
        if (!name || !box || !box.matches(".select2")) {
            return;
        }
        const label = document.createElement("span");
        label.id = `${select.id}-name`;
        label.className = "visually-hidden";
        label.textContent = name;
        box.prepend(label);
        for (const part of box.querySelectorAll("[role=combobox], [role=textbox]")) {
            const former = part.getAttribute("aria-labelledby") || part.id;
            part.setAttribute("aria-labelledby", `${label.id} ${former}`.trim());
        }
        for (const search of box.querySelectorAll("input[type=search]")) {
            search.setAttribute("aria-label", name);
        }
    };

    const nameOthers = "#searchbar, .datetime input, .tabular td :is(input, select, textarea)";

    const nameAll = () => {
        for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
            if (select.id && !document.getElementById(`${select.id}-name`)) {
                nameSelect2(select);
            }
        }
        for (const field of document.querySelectorAll(nameOthers)) {
            if (field.type !== "hidden" && !field.hasAttribute("aria-label")) {
                const part = field.matches(".vTimeField") ? ", time" : "";
                field.setAttribute("aria-label", nameOf(field) + part);
            }
        }
    };

    // Other scripts add pickers and forms at any time.
    document.addEventListener("DOMContentLoaded", () => {
        nameAll();
        new MutationObserver(nameAll).observe(document.body, { childList: true, subtree: true });
    });
}

// Suggests taxa below a field for their name. Enter takes the highlighted one and submits.
"use strict";
{
    const root = document.getElementById("review");
    const WAIT = 80; // milliseconds after a key before the server is asked
    let field = null;
    let options = null; // the list below the field, while it is open
    let asked = ""; // the text to which the list belongs
    let timer = 0;

    const active = () => options?.querySelector("[aria-selected=true]");

    const mark = (option) => {
        active()?.setAttribute("aria-selected", "false");
        option.setAttribute("aria-selected", "true");
        option.scrollIntoView({block: "nearest"});
        field.setAttribute("aria-activedescendant", option.id);
    };

    const close = () => {
        clearTimeout(timer);
        options?.remove();
        options = null;
        field?.setAttribute("aria-expanded", "false");
        field?.removeAttribute("aria-activedescendant");
    };

    const open = (taxa) => {
        close();
        if (!taxa.length) {
            return;
        }
        options = document.createElement("ul");
        options.id = "review-suggestions";
        options.className = "suggestions";
        options.setAttribute("role", "listbox");
        options.setAttribute("aria-label", "Taxa");
        options.append(...taxa.map(({id, name, rank}) => {
            const option = document.createElement("li");
            option.id = `suggestion-${id}`;
            option.setAttribute("role", "option");
            option.setAttribute("aria-selected", "false");
            option.dataset.name = name;
            const quiet = document.createElement("small");
            quiet.textContent = rank.toLowerCase();
            option.append(name, " ", quiet);
            return option;
        }));
        field.after(options);
        field.setAttribute("aria-expanded", "true");
        field.setAttribute("aria-controls", options.id);
        mark(options.firstElementChild);
    };

    const ask = async (asker) => {
        const text = asker.value.trim();
        const response = await fetch(`${root.dataset.taxa}?q=${encodeURIComponent(text)}`).catch(() => null);
        const taxa = response?.ok && !response.redirected ? (await response.json()).taxa : [];
        if (asker === field && asker.value.trim() === text && document.activeElement === asker) {
            asked = text;
            open(taxa);
        }
    };

    const pick = (option) => {
        const {form} = field;
        field.value = option.dataset.name;
        close();
        form.requestSubmit();
    };

    const move = (step) => {
        const all = [...options.children];
        mark(all[(all.indexOf(active()) + step + all.length) % all.length]);
    };

    const press = async (event) => {
        if (!event.target.closest(".typed input") || event.isComposing) {
            return;
        }
        const steps = {ArrowDown: 1, ArrowUp: -1};
        if (options && event.key in steps) {
            event.preventDefault();
            move(steps[event.key]);
        } else if (options && event.key === "Escape") {
            event.preventDefault();
            close();
        } else if (event.key === "Enter" && field?.value.trim()) {
            event.preventDefault();
            if (asked !== field.value.trim()) {
                await ask(field); // typed faster than the server answered
            }
            if (options) {
                pick(active());
            } else {
                field.form.requestSubmit();
            }
        }
    };

    root.addEventListener("focusin", (event) => {
        if (event.target.matches(".typed input")) {
            field = event.target;
            asked = "";
            field.setAttribute("role", "combobox");
            field.setAttribute("aria-autocomplete", "list");
            field.setAttribute("aria-expanded", "false");
        }
    });
    root.addEventListener("focusout", close);
    root.addEventListener("input", (event) => {
        if (event.target !== field) {
            return;
        }
        clearTimeout(timer);
        if (field.value.trim()) {
            timer = setTimeout(ask, WAIT, field);
        } else {
            close();
        }
    });
    root.addEventListener("keydown", press);
    // The field keeps the focus while an option is pressed.
    root.addEventListener("mousedown", (event) => event.target.closest(".suggestions") && event.preventDefault());
    root.addEventListener("click", (event) => {
        const option = event.target.closest(".suggestions li");
        if (option) {
            pick(option);
        }
    });
}

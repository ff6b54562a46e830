// Answers by keys and without loading the page again: shows the next item at once, and sends the
// answers one after the other. Without this script, each button submits its form.
"use strict";
{
    const part = (name) => document.getElementById(`review${name && `-${name}`}`);
    const root = part("");
    const list = root.querySelector(".items");
    const size = Number(root.dataset.size);
    const keys = part("keys");
    const queue = []; // what is not kept yet: each with the form's data and the answered item
    const loaded = new Set();
    const FEW = 4; // ask for more items if fewer are waiting
    let current = null;
    let since = performance.now();
    let sending = false;

    const items = (chosen) => [...list.querySelectorAll(`.item${chosen}`)];
    const itemOf = (id) => document.getElementById(`item-${id}`);
    const parsed = (html) => {
        const template = document.createElement("template");
        template.innerHTML = html;
        return template.content.firstElementChild;
    };

    const choose = (item) => {
        current?.classList.remove("current");
        current = item;
        since = performance.now();
        part("recent").hidden = !item || !part("recent").querySelector("button");
        if (!item) {
            return;
        }
        item.classList.add("current");
        for (const button of part("recent").querySelectorAll("button")) {
            button.setAttribute("form", `identify-${item.dataset.item}`);
        }
        if (!item.contains(document.activeElement)) {
            item.focus({preventScroll: true});
            item.scrollIntoView({block: "nearest"});
        }
    };

    // Go to the next item that has no answer; show the next ones if all that are shown have one.
    const advance = () => {
        const open = items(":not(.answered, [hidden])");
        if (!open.length) {
            items(".answered").forEach((item) => item.remove());
            open.push(...items("[hidden]").slice(0, size));
            open.forEach((item) => { item.hidden = false; });
        }
        const after = open.find((item) => current
            && current.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING);
        choose(after ?? open[0] ?? null);
    };

    const setAside = (item) => {
        if (size === 1) {
            item.remove();
        } else {
            item.classList.add("answered");
            item.inert = true;
        }
        advance();
    };

    // Show an item again: in its place in a grid, otherwise instead of the present one.
    const showAgain = ({id, html}) => {
        const fresh = parsed(html);
        const former = itemOf(id);
        if (former) {
            former.replaceWith(fresh);
        } else {
            list.prepend(fresh);
        }
        if (size === 1) {
            items("").forEach((item) => { item.hidden = item !== fresh; });
        }
        choose(fresh);
    };

    const loadAhead = (urls) => {
        for (const url of urls.filter((one) => !loaded.has(one))) {
            loaded.add(url);
            const picture = new Image();
            picture.fetchPriority = "low"; // answers and what is shown come first
            picture.src = url;
        }
    };

    // A name keeps its digit as long as it is among the recent ones.
    const showRecent = (recent) => {
        const place = part("recent").querySelector("p");
        const kept = [...place.querySelectorAll("button")].map((button) => button.value);
        const names = new Map(recent.map(([id, name]) => [String(id), name]));
        const fresh = [...names.keys()].filter((id) => !kept.includes(id));
        const ids = [...kept.map((id) => (names.has(id) ? id : fresh.shift())), ...fresh];
        place.replaceChildren(...ids.filter(Boolean).map((id, index) => {
            const button = parsed('<button type="submit" class="button" name="taxon_id"><kbd></kbd> <bdi></bdi></button>');
            button.value = id;
            button.dataset.key = index + 1;
            button.setAttribute("aria-keyshortcuts", index + 1);
            button.querySelector("kbd").textContent = index + 1;
            button.querySelector("bdi").textContent = names.get(id);
            if (current) {
                button.setAttribute("form", `identify-${current.dataset.item}`);
            }
            return button;
        }));
        part("recent").hidden = !current || !ids.length;
    };

    const takeMore = ({items: more, ahead, end}) => {
        const sent = new Set(queue.map((one) => one.id));
        for (const {id, html} of more.filter((one) => !itemOf(one.id) && !sent.has(String(one.id)))) {
            const item = parsed(html);
            item.hidden = true;
            list.append(item);
        }
        loadAhead(ahead);
        part("end").innerHTML = end;
    };

    const take = (reply) => {
        const place = part(reply.failed ? "failed" : "told");
        place.innerHTML = reply.told;
        part("failed").hidden = !reply.failed;
        part("progress").innerHTML = reply.progress;
        if (reply.items) {
            takeMore(reply);
        }
        if (reply.item) {
            showAgain(reply.item);
        } else if (!current) {
            advance();
        }
        showRecent(reply.recent);
        part("end").hidden = Boolean(current) || queue.length > 0;
    };

    const send = async () => {
        if (sending) {
            return;
        }
        sending = true;
        part("unsaved").hidden = true;
        while (queue.length) {
            const {data} = queue[0];
            const known = [...items("").map((item) => item.dataset.item), ...queue.map((one) => one.id)];
            data.set("has", known.join(","));
            data.set("more", items(":not(.answered)").length < size + FEW ? "1" : "");
            let reply = null;
            try {
                const response = await fetch(root.dataset.answer, {
                    method: "POST", body: data, headers: {Accept: "application/json"},
                });
                reply = response.ok && !response.redirected ? await response.json() : null;
            } catch {
                // The server cannot be reached.
            }
            if (!reply) {
                const text = queue.length === 1 ? "1 answer is" : `${queue.length} answers are`;
                part("failed").textContent = `${text} not kept, because the server refused or cannot be reached. Send again, or reload the page if you are signed out.`;
                part("failed").hidden = part("unsaved").hidden = false;
                break;
            }
            queue.shift();
            take(reply);
        }
        sending = false;
    };

    root.addEventListener("submit", (event) => {
        event.preventDefault();
        const data = new FormData(event.target, event.submitter);
        const item = event.submitter?.form.closest(".item") ?? event.target.closest(".item");
        if (data.get("answer") === "named" && !data.get("taxon_id") && !data.get("taxon").trim()) {
            item.querySelector("[name=taxon]").focus();
            return;
        }
        data.set("seconds", ((performance.now() - since) / 1000).toFixed(2));
        queue.push({data, id: data.get("item") ?? ""});
        if (item && data.get("answer") !== "show") {
            choose(item);
            setAside(item);
        }
        send();
    });

    list.addEventListener("focusin", (event) => {
        const item = event.target.closest(".item");
        if (item !== current) {
            choose(item);
        }
    });
    list.addEventListener("click", (event) => {
        const item = event.target.closest(".item:not(.answered)");
        if (item && item !== current && list.contains(item)) {
            choose(item);
        }
    });

    part("again").addEventListener("click", send);
    window.addEventListener("beforeunload", (event) => {
        if (queue.length) {
            event.preventDefault();
        }
    });

    const press = (event) => {
        const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) {
            return;
        }
        if (typing) {
            if (event.key === "Escape") {
                current?.focus({preventScroll: true});
            }
            return;
        }
        const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        const chosen = `[data-key="${CSS.escape(name)}"]`;
        const target = (current?.querySelector(chosen)
            ?? root.querySelector(`:is(.tools, #review-recent:not([hidden])) ${chosen}`));
        if (!keys.checked || !target) {
            if (keys.checked && /^Arrow(Up|Down)$/.test(name) && current?.querySelector('[data-key="n"]')) {
                part("told").textContent = "The name is hidden: type what it is, or press n to show the name.";
            }
            return;
        }
        event.preventDefault();
        if (event.repeat) {
            return; // a key that is held down answers once
        }
        if (target.matches("input")) {
            target.focus();
        } else {
            target.click();
        }
    };
    document.addEventListener("keydown", press);

    const KEPT = "review keys off";
    keys.checked = localStorage.getItem(KEPT) === null;
    keys.addEventListener("change", () => (
        keys.checked ? localStorage.removeItem(KEPT) : localStorage.setItem(KEPT, "1")));
    root.querySelector(".switch").hidden = false;

    advance();
    loadAhead(JSON.parse(part("ahead").textContent).urls);
}

// Keeps a Job's page up to date: fetches what changes once per second until the Job has ended.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const live = document.getElementById("job-live");
    if (!live) {
        return;
    }
    const ended = () => live.querySelector("[data-final]") !== null;
    const status = () => live.querySelector(".job-status").textContent;

    // Replace only what differs, so that a refresh keeps the focus and any selected text.
    const update = (former, fresh) => {
        if (former.isEqualNode(fresh)) {
            return;
        }
        const same = former.cloneNode(false).isEqualNode(fresh.cloneNode(false));
        const [parts, freshParts] = [[...former.childNodes], [...fresh.childNodes]];
        if (!same || parts.length !== freshParts.length) {
            former.replaceWith(fresh);
            return;
        }
        parts.forEach((part, index) => update(part, freshParts[index]));
    };

    const refresh = async () => {
        const response = await fetch(live.dataset.url).catch(() => null);
        if (response?.redirected || response?.status === 403 || response?.status === 404) {
            document.getElementById("job-stopped").hidden = false;
            return; // The user is signed out or the Job is deleted: another request would not help.
        }
        if (response?.ok) {
            const before = status();
            const fresh = document.createElement("template");
            fresh.innerHTML = await response.text();
            update(live.firstElementChild, fresh.content.firstElementChild);
            if (status() !== before) {
                document.getElementById("job-announcement").textContent = status();
            }
        }
        wait();
    };

    // A hidden tab sends no requests. It refreshes as soon as it is visible again.
    const wait = () => {
        if (ended()) {
            return;
        }
        if (document.hidden) {
            document.addEventListener("visibilitychange", wait, { once: true });
        } else {
            setTimeout(() => (document.hidden ? wait() : refresh()), 1000);
        }
    };
    wait();
});

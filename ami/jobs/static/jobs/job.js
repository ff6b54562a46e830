// Keeps a Job's page live: fetches its changing part once a second until the Job has ended.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const live = document.getElementById("job-live");
    if (!live) {
        return;
    }
    const ended = () => live.querySelector("[data-final]") !== null;
    const status = () => live.querySelector(".job-status").textContent;

    // Only what differs is replaced, so that focus and a selection of the log outlive a refresh.
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
            return; // signed out, or the Job is gone: asking again would not help
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

    // A hidden tab asks for nothing; once it is seen again, it catches up.
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

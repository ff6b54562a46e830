// Keeps a Job's page live: fetches its changing part once a second until the Job has ended.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const live = document.getElementById("job-live");
    const ended = () => live.querySelector("[data-final]") !== null;
    if (!live || ended()) {
        return;
    }
    const refresh = async () => {
        if (!document.hidden) {
            const response = await fetch(live.dataset.url).catch(() => null);
            if (response?.redirected || response?.status === 403 || response?.status === 404) {
                return; // signed out, or the Job is gone: asking again would not help
            }
            if (response?.ok) {
                live.innerHTML = await response.text();
            }
        }
        if (!ended()) {
            setTimeout(refresh, 1000);
        }
    };
    setTimeout(refresh, 1000);
});

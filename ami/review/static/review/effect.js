// Fetches the sentence about the effect of a Job, which can take seconds to compute.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
    const place = document.querySelector("[data-sentence]");
    if (!place) {
        return;
    }
    place.textContent = "Comparing with what people say…";
    const response = await fetch(place.dataset.sentence).catch(() => null);
    place.textContent = response?.ok && !response.redirected ? await response.text() : "";
});

"use strict";

// Shows in words what the chosen crontab means.
const meanings = JSON.parse(document.getElementById("readable-crontabs").textContent);
const crontab = document.getElementById("id_crontab");
if (crontab) {
    const meaning = document.createElement("div");
    document.querySelector(".field-crontab .help").append(meaning);
    const tell = () => { meaning.textContent = meanings[crontab.value] ?? ""; };
    django.jQuery(crontab).on("change", tell); // the admin's pop-ups notify only jQuery
    tell();
}

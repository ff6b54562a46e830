// Previews without leaving the page, and moves the threshold on figures that were already read.
"use strict";
{
    const form = document.querySelector("#content-main form");
    const part = form.querySelector("[data-preview]");
    // The button is looked up each time, because the page replaces it once the rows are counted.
    const button = () => part && form.querySelector(`[type=submit][name="${part.dataset.preview}"]`);
    const sides = {
        "<": (value, threshold) => value < threshold,
        "<=": (value, threshold) => value <= threshold,
        ">": (value, threshold) => value > threshold,
        ">=": (value, threshold) => value >= threshold,
    };

    // Ask for the preview of the options as they stand. If there is none, submit the form, which
    // shows why, or do nothing if nobody asked.
    const ask = async ({quietly}) => {
        const asked = new FormData(form);
        asked.append(part.dataset.preview, "1");
        button().disabled = true;
        part.setAttribute("aria-busy", "true");
        try {
            const response = await fetch(form.getAttribute("action") ?? "", {method: "POST", body: asked});
            const page = new DOMParser().parseFromString(await response.text(), "text/html");
            if (!response.ok || page.querySelector(".errornote")) {
                throw new Error("The options are invalid.");
            }
            part.replaceChildren(...page.getElementById("preview").childNodes);
        } catch {
            button().disabled = false;
            if (!quietly) {
                form.requestSubmit(button());
                return;
            }
        }
        button().disabled = false;
        part.removeAttribute("aria-busy");
    };

    const element = (name, attributes, ...children) => {
        const made = document.createElement(name);
        Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
        made.append(...children);
        return made;
    };

    const picture = (data, pk) => element("span", {class: "crop"}, element("img", {
        src: data.crop.replace("/0/", `/${pk}/`),
        alt: `Crop of detection ${pk}`,
        "data-missing": "Crop not found",
        loading: "lazy",
    }));

    const crop = (data, [value, pk, other], threshold) => element("li", {},
        element("a", {href: data.page.replace("/0/", `/${pk}/`)},
            ...(other ? [picture(data, other)] : []), picture(data, pk)),
        element("div", {}, `${Number(value.toPrecision(4))} of ${threshold}`));

    const side = (title, data, points, threshold) => element("div", {}, element("h4", {}, title),
        points.length
            ? element("ul", {class: "crops"}, ...points.map((one) => crop(data, one, threshold)))
            : element("p", {class: "rest"}, "None."));

    const redraw = (data, number, threshold) => {
        const series = data.series[number];
        const section = part.querySelector(`[data-series="${number}"]`);
        const applies = sides[data.when];
        const scale = (value) => series.log ? Math.log10(Math.max(value, 1e-9)) : value;
        const share = (scale(threshold) - scale(series.low)) / (scale(series.high) - scale(series.low));
        const x = 480 * Math.min(1, Math.max(0, share));
        const line = section.querySelector("line");
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        for (const bar of section.querySelectorAll("rect")) {
            const middle = (Number(bar.dataset.low) + Number(bar.dataset.high)) / 2;
            bar.classList.toggle("applies", applies(middle, threshold));
        }
        const [told, crops, label] = ["told", "crops", "threshold"].map(
            (name) => section.querySelector(`[data-part="${name}"]`));
        const cut = series.points.findIndex(
            ([value]) => applies(value, threshold) !== (data.when[0] === "<"));
        const end = cut < 0 ? series.points.length : cut;
        const low = series.points.slice(Math.max(0, end - series.half), end);
        const high = series.points.slice(end, end + series.half);
        const [effect, none] = data.when[0] === "<" ? [low, high] : [high, low];
        label.textContent = `Threshold ${threshold}`;
        told.textContent = "The threshold has moved. Press Preview for the figures of this value.";
        const name = data.effect[0].toUpperCase() + data.effect.slice(1);
        crops.replaceChildren(side(name, data, effect, threshold),
            side(`Not ${data.effect}`, data, none, threshold));
    };

    if (part) {
        form.addEventListener("submit", (event) => {
            if (event.submitter === button() && !event.defaultPrevented && part.ariaBusy !== "true") {
                event.preventDefault();
                ask({quietly: false});
            }
        });
        form.addEventListener("input", (event) => {
            const stored = document.getElementById("preview-data");
            const data = stored && JSON.parse(stored.textContent);
            const number = data ? data.series.findIndex((one) => one.field && one.field === event.target.name) : -1;
            const threshold = event.target.valueAsNumber;
            if (number >= 0 && Number.isFinite(threshold)) {
                redraw(data, number, threshold);
            }
        });
        // A page that does not count its rows first shows its preview at once.
        const shown = part.querySelector("[data-series], table");
        if (!shown && !form.dataset.counts && !button().disabled && !form.querySelector(".errornote")) {
            ask({quietly: true});
        }
    }
}

/* Shows the times of a transcript in the zone of the browser, where the server's is another. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const language = document.documentElement.lang || undefined;
    const format = new Intl.DateTimeFormat(language, {dateStyle: "medium", timeStyle: "short"});
    for (const time of document.querySelectorAll(".parlant-transcript time[datetime]")) {
        const date = new Date(time.dateTime);
        const zone = /([+-])(\d\d):(\d\d)$/.exec(time.dateTime);
        if (zone === null || Number.isNaN(date.getTime())) {
            continue;
        }
        const minutes = Number(`${zone[1]}1`) * (60 * Number(zone[2]) + Number(zone[3]));
        if (minutes !== -date.getTimezoneOffset()) {
            time.title = time.textContent;
            time.textContent = format.format(date);
        }
    }
});

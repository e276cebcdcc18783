"use strict";
(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const every = Number(live.dataset.every);
  let last = "";

  const show = (text) => {
    if (text === last) return;
    last = text;
    const rows = [...live.querySelectorAll("details")];
    const open = new Set(rows.filter((row) => row.open).map((row) => row.id));
    // What has the focus keeps it: a row, or a link.
    const focused = live.contains(document.activeElement) ? document.activeElement : null;
    const row = focused && focused.closest("details");
    const link = focused && focused.getAttribute("href");
    live.innerHTML = text;
    for (const one of live.querySelectorAll("details")) one.open = open.has(one.id);
    const links = [...live.querySelectorAll("a")];
    const again = row
      ? document.getElementById(row.id)?.querySelector("summary")
      : links.find((one) => one.getAttribute("href") === link);
    if (again) again.focus({ preventScroll: true });
  };
  const refresh = async () => {
    try {
      const answer = await fetch("/live", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.text());
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
    setTimeout(refresh, every);
  };
  setTimeout(refresh, every);
})();

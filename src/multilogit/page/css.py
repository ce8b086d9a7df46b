"""How a page looks: one column; light or dark as the reader's system; on paper black on white."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2833; --muted: #55626e; --line: #dbe1e6; --soft: #f4f6f8;
  --good: #00664a; --good-soft: #e5f4ee; --care: #7a4a00; --care-soft: #fdf1dc;
  --bad: #a1260d; --bad-soft: #fdeae6; --note: #14507f; --note-soft: #e8f1f8; --link: #0060a0; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14191e; --ink: #e3e8ec; --muted: #a3afba; --line: #333d47; --soft: #1d242b;
  --good: #67d3ac; --good-soft: #10291f; --care: #f0bd6a; --care-soft: #2e2410;
  --bad: #ff9d87; --bad-soft: #35190f; --note: #8cc5ee; --note-soft: #12263a; --link: #7cc0f5; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main, header, footer { max-width: 54rem; margin: 0 auto; padding: 0 1.1rem; }
header { padding-top: 1.8rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
p { margin: .7rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
code { font-size: .92em; overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; font-size: .88rem; line-height: 1.45; }
.formula { font-size: 1.05rem; margin: 0 0 1.1rem; }
nav { margin: 1.3rem 0 0; font-size: .93rem; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .25rem 1.1rem; }
.finding { border-left: 5px solid; border-radius: 4px; padding: .65rem 1rem; margin: .9rem 0; }
.finding p { margin: .2rem 0; }
.finding .head { font-weight: 650; }
.finding.good { border-color: var(--good); background: var(--good-soft); }
.finding.care { border-color: var(--care); background: var(--care-soft); }
.finding.bad { border-color: var(--bad); background: var(--bad-soft); }
.finding.note { border-color: var(--note); background: var(--note-soft); }
.finding.good .head { color: var(--good); } .finding.care .head { color: var(--care); }
.finding.bad .head { color: var(--bad); } .finding.note .head { color: var(--note); }
.verdict .head { font-size: 1.3rem; }
.wide { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
.caption { font-weight: 600; margin: 1.1rem 0 .2rem; } .caption + .wide { margin-top: .2rem; }
th, td { text-align: right; padding: .28rem .75rem .28rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--muted); border-bottom-width: 2px; }
th.name, td.name { text-align: left; }
td.name { max-width: 22rem; overflow-wrap: anywhere; white-space: normal; min-width: 6rem; }
dl { display: grid; grid-template-columns: minmax(7rem, 11rem) 1fr; gap: .35rem 1rem;
  margin: .8rem 0; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 6px; background: #fff;
  padding: .4rem; border: 1px solid var(--line); }
footer { color: var(--muted); font-size: .88rem; margin-top: 3rem; padding-bottom: 2.5rem; }
@media (max-width: 40rem) {
  body { font-size: 15.5px; }
  h1 { font-size: 1.35rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dt { margin-top: .55rem; font-size: .88rem; }
  th, td { padding-right: .6rem; }
  td.name { max-width: 11rem; }
  figure img { max-width: none; width: calc(var(--natural) * .72); min-width: 100%; }
}
@media (prefers-color-scheme: dark) and (min-width: 0) { figure img { filter: brightness(.93); } }
@media print {
  :root { color-scheme: light; --paper: #fff; --ink: #000; --muted: #444; --line: #bbb;
    --soft: #f4f4f4; --good: #00553d; --good-soft: #fff; --care: #6a4000; --care-soft: #fff;
    --bad: #8a1f0a; --bad-soft: #fff; --note: #14405f; --note-soft: #fff; --link: #000; }
  @page { margin: 16mm 15mm; }
  body { font-size: 10.2pt; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  h2, .caption { break-after: avoid; } h2 { margin-top: 1.3rem; }
  .finding, figure, tr, dl, .wide { break-inside: avoid; }
  section > p:first-of-type { break-after: avoid; }
  .wide, figure, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  table { font-size: 8.8pt; }
  thead { display: table-header-group; }
  figure img { max-height: 225mm; width: auto; max-width: 100%; min-width: 0; border: none;
    padding: 0; filter: none; }
}
"""

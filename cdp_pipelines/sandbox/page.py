"""The sandbox's own page: what runs where, how many records there are, what is switched on, and what was asked and changed lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.faults.switches import Fault
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sandbox.traffic import Answered

_TITLES: dict[str, str] = {"salesforce": "Salesforce", "hubspot": "HubSpot", "marketo": "Marketo"}
_SHOWN_CHANGES = 40
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#667085;--line:#e4e7ec;--back:#f6f7f9;--card:#fff;--good:#067647;--bad:#b42318;--warn:#b54708;
--salesforce:#0d7fbf;--hubspot:#e8603c;--marketo:#5c4c9f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#2b3340;--back:#12161d;--card:#1a202a;--good:#47cd89;--bad:#f97066;
--warn:#fdb022;--salesforce:#4db8ef;--hubspot:#ff8f6b;--marketo:#a594f0}}
*{box-sizing:border-box}
body{font:14px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;margin:0;background:var(--back);color:var(--ink)}
main,header{max-width:78rem;margin:0 auto;padding:0 1.25rem}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1rem;padding-top:1.5rem}
h1{font-size:1.35rem;margin:0}h2{font-size:.95rem;margin:1.75rem 0 .5rem}h2 small{font-weight:400;color:var(--soft);margin-left:.4rem}
nav a{color:var(--soft);margin-right:.75rem}a{color:inherit}p{color:var(--soft);margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem;margin-top:1.25rem}
.card,.box{background:var(--card);border:1px solid var(--line);border-radius:8px}
.card{padding:.9rem 1.1rem;border-top:3px solid var(--crm)}.card h3{margin:0;font-size:1.05rem;color:var(--crm)}
.card dl{display:grid;grid-template-columns:1fr auto;row-gap:.1rem;margin:.6rem 0 0}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
dt{color:var(--soft)}.total{border-top:1px solid var(--line);margin-top:.3rem;padding-top:.3rem}
.box{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}
td,th{text-align:left;padding:.32rem .75rem;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th{color:var(--soft);font-weight:500;font-size:12px}tr:last-child td{border-bottom:0}td.wide{white-space:normal;overflow-wrap:anywhere;width:100%}
td.n{text-align:right;font-variant-numeric:tabular-nums}th.n{text-align:right}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px}.soft{color:var(--soft)}
.crm{color:var(--crm);font-weight:600}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}
.salesforce{--crm:var(--salesforce)}.hubspot{--crm:var(--hubspot)}.marketo{--crm:var(--marketo)}
.tag{border:1px solid var(--warn);color:var(--warn);border-radius:4px;padding:0 .3rem;font-size:11px;margin-left:.35rem}
button{font:inherit;font-size:12px;border:1px solid var(--line);border-radius:5px;background:none;color:inherit;padding:.05rem .5rem;cursor:pointer}
"""
# The page fetches itself and swaps what is inside <main>: scroll and the rest of the page stay. Not while text is being selected.
_SCRIPT = """
const main=document.querySelector('main');
async function refresh(){
  if(document.hidden||String(getSelection()))return;
  try{
    const page=new DOMParser().parseFromString(await(await fetch('/',{cache:'no-store'})).text(),'text/html');
    const fresh=page.querySelector('main').innerHTML;
    if(fresh!==main.dataset.last){
      const across=[...main.querySelectorAll('.box')].map(box=>box.scrollLeft);
      main.innerHTML=main.dataset.last=fresh;
      main.querySelectorAll('.box').forEach((box,n)=>{box.scrollLeft=across[n]||0});
    }
    document.title='CDP sandbox';
  }catch{document.title='CDP sandbox (does not answer)'}
}
main.addEventListener('click',async event=>{
  const off=event.target.dataset.off;
  if(off){await fetch(off,{method:'DELETE'});refresh()}
});
setInterval(refresh,2000);
"""


def render(
    health: Mapping[str, Any],
    addresses: SandboxAddresses,
    changes: Sequence[Mapping[str, Any]],
    requests: Mapping[Kind, int],
    *,
    faults: Sequence[Fault] = (),
    options: Mapping[Kind, Mapping[str, Any]] | None = None,
    latest: Sequence[Answered] = (),
) -> str:
    """The page as HTML. `changes` and `latest` oldest first, `requests` served by CRM since the start, `options` those that were changed."""
    links = "".join(f'<a href="/sandbox/{name}">{name}</a>' for name in ("health", "counts", "truth", "log", "requests", "faults"))
    links += "".join(f'<a href="/sandbox/options/{kind}">{kind} options</a>' for kind in KINDS)
    cards = "".join(_card(kind, addresses.url(kind), health["counts"][kind], requests[kind]) for kind in KINDS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>CDP sandbox</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>CDP sandbox</h1><p>One world of {health['people']:,} people (seed {health['seed']}), seen through three CRMs</p>"
        f'<nav>{links}</nav></header><main><div class="cards">{cards}</div>{_switches(faults, options or {})}{_requests(latest)}'
        f"{_changes(changes)}</main><script>{_SCRIPT}</script></body></html>"
    )


def _card(kind: Kind, url: str, counts: Mapping[str, int], requests: int) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{count:,}</dd>" for name, count in counts.items())
    return (
        f'<section class="card {kind}"><h3>{_TITLES[kind]}</h3><code>{escape(url)}</code><dl>{rows}'
        f'<dt class="total">requests</dt><dd class="total">{requests:,}</dd></dl></section>'
    )


def _switches(faults: Sequence[Fault], options: Mapping[Kind, Mapping[str, Any]]) -> str:
    rows = []
    for fault in faults:
        left = f"{fault.done:,} of {fault.when.count:,}" if fault.when.count else f"{fault.done:,}"
        off = f'<button data-off="/sandbox/faults/{fault.id}">off</button>'
        said = {n: v for n, v in fault.show().items() if n not in ("id", "crm", "kind", "path", "seen", "done", "count") and v is not None}
        rows.append(
            _row(fault.crm, f'<span class="warn">{escape(fault.name)}</span>', escape(fault.when.path or "every call"), said, left, off)
        )
    for kind, changed in options.items():
        reset = f'<button data-off="/sandbox/options/{kind}">reset</button>'
        rows.append(_row(kind, "options", "", changed, "", reset))
    empty = "None: <code>cdp sandbox faults set hubspot:rate_limit:count=3</code>"
    return _table("Switched on", "", ("CRM", "What", "Calls", "Set to", "#Struck", ""), rows, empty)


def _row(kind: Kind, what: str, calls: str, said: Mapping[str, Any], struck: str, button: str) -> str:
    settings = escape(", ".join(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in said.items()))
    return (
        f'<tr class="{kind}"><td class="crm">{_TITLES[kind]}</td><td>{what}</td><td class="mono">{calls}</td>'
        f'<td class="wide mono soft">{settings}</td><td class="n">{struck}</td><td>{button}</td></tr>'
    )


def _requests(latest: Sequence[Answered]) -> str:
    rows = []
    for one in reversed(latest):
        status = "closed" if one.status is None else str(one.status)
        look = "bad" if one.error else "good" if status < "3" else "warn" if status < "4" else "bad"
        tags = "".join(f'<span class="tag">{escape(name)}</span>' for name in one.faults)
        query = f'<span class="soft">?{escape(one.query)}</span>' if one.query else ""
        rows.append(
            f'<tr class="{one.crm}"><td class="mono soft">{one.at:%H:%M:%S}</td><td class="crm">{_TITLES[one.crm]}</td>'
            f'<td class="mono">{escape(one.method)}</td><td class="wide mono">{escape(one.path)}{query}{tags}</td>'
            f'<td class="{look}">{f"{status} {one.error}".rstrip()}</td><td class="n">{one.milliseconds:,.1f}</td></tr>'
        )
    return _table("Recent requests", f"the last {len(rows)}, UTC", ("At", "CRM", "Method", "Path", "Status", "#ms"), rows, "None yet.")


def _changes(changes: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f'<tr class="{escape(change["crm"])}"><td class="mono soft">{escape(change["at"][:19].replace("T", " "))}</td>'
        f'<td class="crm">{escape(_TITLES.get(change["crm"], change["crm"]))}</td><td>{escape(change["op"].replace("_", " "))}</td>'
        f'<td class="mono">{escape(str(change["id"]))}</td><td class="wide soft">{escape(", ".join(change.get("fields", ())))}</td></tr>'
        for change in changes[: -_SHOWN_CHANGES - 1 : -1]
    ]
    note = f"the last {len(rows)} of {len(changes):,}, UTC" if rows else ""
    return _table("Recent changes", note, ("At", "CRM", "Change", "Record", "Fields"), rows, "None yet: <code>cdp sandbox change</code>")


def _table(title: str, note: str, columns: Sequence[str], rows: Sequence[str], empty: str) -> str:
    """A table under a heading. A column whose name begins with `#` holds numbers; the other arguments are HTML already."""
    head = "".join(f'<th class="n">{name[1:]}</th>' if name.startswith("#") else f"<th>{name}</th>" for name in columns)
    body = "".join(rows) or f'<tr><td colspan="{len(columns)}" class="soft">{empty}</td></tr>'
    return f'<h2>{title}<small>{note}</small></h2><div class="box"><table><tr>{head}</tr>{body}</table></div>'

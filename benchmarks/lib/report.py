"""The report: one HTML file with every figure in it, and the same as text for
doc/."""

import html
import re

STYLE = """
body{font:16px/1.5 system-ui,Helvetica,Arial,sans-serif;color:#1c1c1c;
margin:2rem auto;max-width:58rem;padding:0 1rem;background:#fff}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.3rem;margin:3rem 0 .5rem;
border-top:1px solid #ddd;padding-top:1rem}
.lead{color:#444}dl{display:grid;grid-template-columns:auto 1fr;gap:.15rem 1rem;
font-size:.92rem}dt{color:#555}dd{margin:0}
table{border-collapse:collapse;font-size:.88rem;margin:.8rem 0;display:block;
overflow-x:auto}th,td{padding:.25rem .55rem;border-bottom:1px solid #e3e3e3;
text-align:right;white-space:nowrap}th{text-align:right;color:#444;
font-weight:600}th:first-child,td:first-child{text-align:left}
figure{margin:1rem 0}figure svg{width:100%;height:auto;max-width:50rem}
figcaption,.caption{font-size:.9rem;color:#444}.says{background:#f2f6fa;
border-left:4px solid #2f6da8;padding:.6rem 1rem;margin:1rem 0}
.says p{margin:.3rem 0}.missing{background:#fff4e5;border-left:4px solid
#d98200;padding:.6rem 1rem}b.k{color:#555;font-weight:600}
nav ol{columns:2;column-gap:3rem;font-size:.95rem}code{font-size:.9em;background:#f4f4f4;
padding:0 .2em}a{color:#1f5c99}figcaption b{color:#1c1c1c}
@media (prefers-color-scheme:dark){:root{color-scheme:dark}
body{background:#15171a;color:#e2e2e2}.lead,dt,th,figcaption,.caption,b.k
{color:#a9adb3}figcaption b{color:#e2e2e2}h2,th,td{border-color:#3a3d42}
.says{background:#1b2530}.missing{background:#33260f}code{background:#26292e}
a{color:#7db4ea}figure svg{filter:invert(.91) hue-rotate(180deg)}}
"""


def inline(text):
    """Text with `code` and **bold** as HTML."""
    text = html.escape(text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


def svg(path, name):
    """The SVG's own text, to stand in a page: names made its own."""
    text = path.read_text()
    text = text[text.index("<svg"):]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"(xlink:href)=(['\"])#", rf"\1=\2#{name}-", text)
    return text


def table(columns, rows):
    head = "".join(f"<th>{inline(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{inline(c)}</td>" for c in r) +
                   "</tr>\n" for r in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def section(f, number):
    out = [f'<h2 id="{f.name}">{number}. {inline(f.title)}</h2>',
           f"<p><b class=k>Asked:</b> {inline(f.question)}</p>",
           f"<p><b class=k>How:</b> {inline(f.method)}</p>"]
    says = [p[1] for p in f.parts if p[0] == "says"]
    for title, why in ("Not measured here", f.missing), ("Failed", f.failed):
        if why:
            out.append(f"<p class=missing>{title}: {inline(why)}</p>")
    for part in f.parts:
        if part[0] == "figure":
            out.append(f"<figure>{svg(part[1], part[1].stem)}<figcaption>"
                       f"<b>{inline(part[3])}</b> {inline(part[2])}"
                       "</figcaption></figure>")
        elif part[0] == "table":
            _, file, columns, rows, caption = part
            if rows:
                out.append(table(columns, rows))
            out.append(f'<p class=caption>{inline(caption)} '
                       f'All of it: <a href="{file}">{file}</a></p>')
    if says:
        out.append("<div class=says><p><b>What it says</b></p>" + "".join(
            f"<p>{inline(s)}</p>" for s in says) + "</div>")
    out.append(f'<p class=caption>This part alone: <code>make bench '
               f'BENCH_ONLY={f.name}</code> ({f.seconds:.0f} s)</p>')
    return "\n".join(out)


def failures(findings):
    """What has to be said before anything else."""
    failed = [f for f in findings if f.failed]
    if not failed:
        return ""
    names = ", ".join(f'<a href="#{f.name}">{inline(f.title)}</a>'
                      for f in failed)
    return (f"<p class=missing>{len(failed)} of {len(findings)} failed: {names}."
            "</p>")


def page(findings, facts, kind, seconds, path):
    links = "".join(f'<li><a href="#{f.name}">{inline(f.title)}</a></li>'
                    for f in findings)
    rows = "".join(f"<dt>{k}</dt><dd>{html.escape(v)}</dd>"
                   for k, v in facts.items())
    path.write_text(f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>penstock: what each transport costs</title><style>{STYLE}</style></head>
<body><h1>What each transport costs</h1>
<p class="lead">One stream of messages, read as WebSocket, server-sent events,
long poll and plain poll, through one penstock on one machine. Every figure
below was made by one run of <code>make bench</code>{kind}, in
{seconds / 60:.0f} minutes; numbers in parentheses are the least and the most
of several goes. Ratios within one figure mean something anywhere; absolute
times and rates are this machine's.</p>
{failures(findings)}<dl>{rows}</dl><nav><ol>{links}</ol></nav>
{"".join(section(f, i + 1) for i, f in enumerate(findings))}
</body></html>
""")


def text(findings, facts, kind, seconds, path):
    """Markdown, which `make figures` puts into doc/."""
    out = ["# What each transport costs", "",
           "Made by one run of `make bench`" + kind + f" in {seconds / 60:.0f} "
           "minutes, and put here by `make figures`: not to be edited. Numbers in "
           "parentheses are the least and the most of several goes. Ratios within "
           "one table mean something anywhere; absolute times and rates are this "
           "machine's.", "",
           *(f"- {k}: {v}" for k, v in facts.items()), ""]
    for f in findings:
        out += [f"## {f.title}", "", f"**Asked:** {f.question}", "",
                f"**How** (`make bench BENCH_ONLY={f.name}`, {f.seconds:.0f} s): "
                f"{f.method}", ""]
        if f.missing or f.failed:
            out += [f"Not measured: {f.missing or f.failed}", ""]
        for part in f.parts:
            if part[0] == "figure":
                out += [f"![{part[3]}](figures/{part[1].name})", "",
                        f"**{part[3]}** {part[2]}", ""]
            if part[0] == "table" and part[3]:
                _, file, columns, rows, caption = part
                out.append("| " + " | ".join(columns) + " |")
                out.append("|---" * len(columns) + "|")
                out += ["| " + " | ".join(r) + " |" for r in rows]
                out += ["", caption, ""] if caption else [""]
        out += [f"- {p[1]}" for p in f.parts if p[0] == "says"] + [""]
    path.write_text("\n".join(out))

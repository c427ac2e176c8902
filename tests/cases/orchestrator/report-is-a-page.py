#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""slipway report --html: one page that needs nothing else, is well-formed, can be read without the
plots, shows the figures of the JSON, and in which no name of a VM or file of a guest is markup."""

import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree

from case import check, work
from fakes import Platform
from screen import stray_controls

HOSTILE = "<img src=x onerror=alert(1)>&\"' ]]> \033[2J\u202e日本"
VOID = {"meta", "br", "img", "link", "input", "hr"}

p = Platform(work / "p")
vm = p.source / HOSTILE
vm.mkdir()
(vm / "power").write_text("running")
(vm / "vda.img").write_text("start\n")
p.describe(vm)
changes = {"os": {"pretty": f"Debian {HOSTILE}"},
           "changes": [{"kind": "edit", "path": f"/etc/{HOSTILE}", "before": "a" * 64,
                        "after": "b" * 64},
                       {"kind": "create", "path": "/etc/plain", "after": "c" * 64}],
           "notes": [{"warning": True, "text": f"beware of {HOSTILE}"}]}
morph = p.libexec / "slipway-morph"
(p.folder / "changes.json").write_text(json.dumps(changes))
morph.write_text(morph.read_text().replace("echo '{\"changes\": []}'",
                                           f"cat '{p.folder}/changes.json'"))
p.start()
p.add_source()
p.api("POST", "/v1/migrations", {"source": "src", "vm": HOSTILE, "name": "web"})
p.wait_rest()
with open(vm / "vda.img", "a", encoding="utf-8") as image:
    image.write("more\n" * 1000)
p.verb("sync")
p.verb("cutover")
report = p.api("GET", "/v1/migrations/web/report")
check(report["downtime"]["complete"], f"it was cut over: {report['state']}")


class Checker(html.parser.HTMLParser):
    """Balanced tags, no script, nothing from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            check(not key.startswith("on") and key not in ("src", "href", "action"),
                  f"<{tag} {key}={value}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        check(self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}")
        self.open.pop()

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()


def parse(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    check(checker.open == [] and not set(checker.tags) & {"script", "img", "link", "iframe"},
          "no script, no picture, nothing left open")
    check(not re.search(r"@import|url\(|https?:", text), "nothing from elsewhere")
    check(stray_controls(text) == [], "no control characters")
    root = ElementTree.fromstring(text.split("\n", 1)[1])
    check(root.tag == "html" and root.get("lang") == "en", "says its language")
    return root


def words(node):
    return "".join(node.itertext())


def figures(root, kind):
    """The exact values in each row of that class."""
    return [[data.get("value") for data in row.iter("data")]
            for row in root.iter("tr") if row.get("class") == kind]


def numbers(values):
    return [float(v) for v in values]


page = p.cli("report", "web", "--html")
root = parse(page)
check(root.find("head/title").text == "Migration web", "its title")
check("<img" not in page and "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;" in page,
      "a hostile name is text")
check("\\x1b[2J\\u202e日本" in words(root), "what cannot be seen is shown")

rows = figures(root, "pass")
check(len(rows) == len(report["passes"]) == 3, f"a row for each pass: {rows}")
for row, one in zip(rows, report["passes"]):
    want = [one[key] for key in ("began_ns", "bytes", "zero_bytes", "changed_bytes", "seconds",
                                 "rate_bytes_s")]
    check(numbers(row) == numbers(want), f"{row} is {want}")
parts = [v for k, v in report["downtime"].items()
         if k.endswith("_s") and k != "total_s" and v is not None]
check(sorted(numbers(v for row in figures(root, "downtime") for v in row)) == sorted(parts),
      "the parts of the downtime")
check(numbers(figures(root, "total")[0]) == [report["downtime"]["total_s"]], "and the whole")
check([int(row[0]) for row in figures(root, "transition")] ==
      [t["time_ns"] for t in report["transitions"]], "the course")
shown = [[words(cell) for cell in row] for row in root.iter("tr") if row.get("class") == "change"]
check([row[2:] for row in shown] == [["a" * 64, "b" * 64], ["–", "c" * 64]],
      f"the changes with their hashes: {shown}")
check("beware of" in words(root), "warnings")

plots = list(root.iter("svg"))
check(len(plots) == 4, "four plots")
for plot in plots:
    check(plot.get("role") == "img" and plot.get("aria-label") and plot.find("title") is not None,
          "a plot has a name for who cannot see it")
    for rect in plot.iter("rect"):
        check(all(float(rect.get(k)) >= 0 for k in ("x", "y", "width", "height")), "drawn inside")
bars = [float(r.get("height")) for r in plots[1].iter("rect")]
most = max(one["bytes"] for one in report["passes"])
for bar, one in zip(bars, report["passes"]):
    check(abs(bar / max(bars) - one["bytes"] / most) < 0.01, "bars are as high as their figures")
widths = [float(r.get("width")) for r in plots[0].iter("rect") if float(r.get("height")) > 20]
for width, part in zip(widths, [float(row[0]) for row in figures(root, "downtime")]):
    check(abs(width / 800 - part / sum(parts)) < 0.01, "the split is to scale")
for table in root.iter("table"):
    check(table.find("caption") is not None and
          all(th.get("scope") == "col" for th in table.iter("th")), "tables have titles")
style = root.find("head/style").text
check("prefers-color-scheme:dark" in style and "@media print" in style, "dark, and on paper")

# Into a file; of a migration that has nothing yet; of many.
p.cli("report", "web", "--html", "-o", str(work / "r.html"))
check((work / "r.html").read_text() == page, "the same in a file")
p.cli("report", "web", "--json", "--output", str(work / "r.json"))
check(json.loads((work / "r.json").read_text()) == report, "JSON, too")
check("--html" in p.cli("report", "web", "-o", str(work / "x"), expect=2), "-o alone is refused")
p.cli("report", "web", "--html", "-o", "/nowhere/x", expect=3)
p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": "new", "plan": "wave"})
p.wait_rest("new")
check("no cutover yet" in words(parse(p.cli("report", "new", "--html"))), "before a cutover")
summary = parse(p.cli("report", "--html"))
check(len([r for r in summary.iter("tr") if r.get("class") == "migration"]) == 2, "all of them")
summary = parse(p.cli("report", "--html", "--plan", "wave"))
check([words(r[0]) for r in summary.iter("tr") if r.get("class") == "migration"] == ["new"],
      "of one plan")
check(json.loads(p.cli("report", "--json"))[0]["name"] == "web", "as JSON")
check(stray_controls(p.cli("report", "web")) == [], "the plain report escapes, too")

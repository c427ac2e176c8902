/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/html.h"

#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/text.h"

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1c2127;--bg:#fff;--soft:#5c6670;--line:#c8ced4;\n"
    "--c0:#1f6fb2;--c1:#b25a1f;--c2:#2d7d46;--c3:#8a3fa0;--c4:#a03f50;--c5:#4a6a8a;--c6:#7d6a1f}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e3e7eb;--bg:#14181c;--soft:#9aa5af;\n"
    "--line:#3a434c;--c0:#6cb2ec;--c1:#eca06c;--c2:#7cca94;--c3:#cb92dd;--c4:#e58a9b;\n"
    "--c5:#9db8d2;--c6:#d0bd6c}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);\n"
    "max-width:60rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}\n"
    "h1,h2,td{overflow-wrap:anywhere}p.soft,figcaption,th{color:var(--soft)}\n"
    "table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--soft)}\n"
    "th,td{text-align:left;padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line);\n"
    "vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "figure{margin:1rem 0}svg{width:100%;height:auto}\n"
    "svg text{fill:var(--fg);font:12px system-ui,sans-serif}code{font-size:.9em}\n"
    "@media print{body{max-width:none;margin:0}figure,tr{break-inside:avoid}\n"
    "h2{break-after:avoid}}\n";

void html_text(FILE *out, const char *text)
{
    _cleanup_free_ char *safe = text_safe(text ? text : "", true);

    for (const char *s = safe; *s; s++)
        switch (*s) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*s, out);
        }
}

void html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\"/>\n<title>", out);
    html_text(out, title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", style);
}

void html_end(FILE *out)
{
    fputs("</body>\n</html>\n", out);
}

void html_bytes(FILE *out, uint64_t bytes)
{
    char text[32];

    fprintf(out, "<td class=\"n\"><data value=\"%" PRIu64 "\">%s</data></td>", bytes,
            str_from_bytes(bytes, text, sizeof(text)));
}

void html_rate(FILE *out, double bytes_s)
{
    char text[32];

    if (bytes_s < 0) {
        fputs("<td class=\"n\">–</td>", out);
        return;
    }
    fprintf(out, "<td class=\"n\"><data value=\"%.17g\">%s/s</data></td>", bytes_s,
            str_from_bytes((uint64_t)bytes_s, text, sizeof(text)));
}

void html_seconds(FILE *out, double seconds)
{
    fprintf(out, "<td class=\"n\"><data value=\"%.17g\">%.2f s</data></td>", seconds, seconds);
}

void html_number(FILE *out, int64_t number)
{
    fprintf(out, "<td class=\"n\">%" PRId64 "</td>", number);
}

void html_time(FILE *out, int64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / (int64_t)NS_PER_S);
    char text[40] = "–";
    struct tm tm;

    if (wall_ns > 0 && gmtime_r(&seconds, &tm))
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    fprintf(out, "<td><data value=\"%" PRId64 "\">%s</data></td>", wall_ns, text);
}

void html_cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    html_text(out, text);
    fputs("</td>", out);
}

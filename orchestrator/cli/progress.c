/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/table.h"
#include "orchestrator/cli/text.h"

#define BAR_COLUMNS 26
#define REDRAW_NS (200 * NS_PER_MS)
#define LINE_INTERVAL_NS (5 * NS_PER_S)

struct progress {
    bool quiet;
    bool terminal;
    bool drawn;
    char label[80];
    uint64_t start_ns;   /* of this label */
    uint64_t start_bytes;
    uint64_t shown_ns;   /* when something was last written */
    uint64_t total_bytes;
};

struct progress *progress_new(bool quiet)
{
    struct progress *p = mem_new(1, sizeof(*p));

    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO);
    return p;
}

static void format_figures(const struct progress *p, uint64_t done, uint64_t total, uint64_t now,
                           char *buf, size_t size)
{
    char done_text[32], total_text[32], rate_text[32] = "", eta[32] = "";
    double seconds = (double)(now - p->start_ns) / (double)NS_PER_S;
    double rate = seconds > 0.5 && done > p->start_bytes
                      ? (double)(done - p->start_bytes) / seconds : 0;

    if (rate > 0) {
        char number[24], left[16];

        snprintf(rate_text, sizeof(rate_text), "  %s/s",
                 str_from_bytes((uint64_t)rate, number, sizeof(number)));
        table_format_seconds((double)(total - done) / rate, left, sizeof(left));
        snprintf(eta, sizeof(eta), "  ETA %s", left);
    }
    snprintf(buf, size, "%s of %s%s%s", str_from_bytes(done, done_text, sizeof(done_text)),
             str_from_bytes(total, total_text, sizeof(total_text)), rate_text, eta);
}

static unsigned terminal_columns(void)
{
    struct winsize w;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static void write_line(struct progress *p, const char *text)
{
    _cleanup_free_ char *safe = text_safe(text, text_is_utf8());

    if (p->terminal) {
        size_t room = terminal_columns() - 1, columns = text_columns(safe);
        _cleanup_free_ char *fit = text_fit(safe, columns < room ? columns : room, text_is_utf8());

        fprintf(stderr, "\r\033[K%s", fit);
    } else {
        fprintf(stderr, "%s\n", safe);
    }
    fflush(stderr);
    p->drawn = true;
}

static void draw(struct progress *p, uint64_t done, uint64_t total, uint64_t now)
{
    _cleanup_free_ char *bar = p->terminal ? table_bar(done, total, BAR_COLUMNS) : str_dup("");
    char line[300], figures[120];

    if (total == 0) {
        write_line(p, p->label);
        return;
    }
    format_figures(p, done, total, now, figures, sizeof(figures));
    snprintf(line, sizeof(line), "%s %3u%% %s%s%s", p->label,
             (unsigned)((double)done * 100 / (double)total), bar, p->terminal ? " " : "", figures);
    write_line(p, line);
}

void progress_update(struct progress *p, const char *label, uint64_t done, uint64_t total)
{
    uint64_t now = clock_now_ns();
    bool changed = strncmp(p->label, label, sizeof(p->label) - 1) != 0 || p->total_bytes != total;

    if (p->quiet)
        return;
    if (done > total)
        done = total;
    if (changed) {
        if (p->terminal && p->drawn && strncmp(p->label, label, sizeof(p->label) - 1) != 0)
            fputc('\n', stderr);
        snprintf(p->label, sizeof(p->label), "%s", label);
        p->start_ns = now;
        p->start_bytes = done;
        p->total_bytes = total;
    } else if (now - p->shown_ns < (p->terminal ? REDRAW_NS : LINE_INTERVAL_NS)) {
        return;
    }
    p->shown_ns = now;
    draw(p, done, total, now);
}

void progress_end(struct progress *p)
{
    if (!p)
        return;
    if (p->drawn && p->terminal)
        fputc('\n', stderr);
    free(p);
}

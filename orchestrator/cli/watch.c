/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipway status --watch on a terminal: a thread keeps the model, this one draws it.  It is drawn
 * when something has happened, but not more often than five times a second, and once a second for
 * the ages in it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/status.h"
#include "orchestrator/cli/table.h"
#include "orchestrator/cli/terminal.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/fields.h"

#define REDRAW_NS (200 * NS_PER_MS)
#define IDLE_REDRAW_NS (1 * NS_PER_S)
#define RETRY_NS (500 * NS_PER_MS)
#define ASK_NEXT_NS (5 * NS_PER_S)

struct watch {
    const struct cli_common *common;
    pthread_mutex_t lock; /* guards what follows */
    struct model model;
    char *trouble;
    bool changed;
};

static int on_event(const json_t *event, void *context)
{
    struct watch *w = context;
    int r;

    pthread_mutex_lock(&w->lock);
    r = model_take_event(&w->model, event) ? 0 : 1;
    w->changed = true;
    pthread_mutex_unlock(&w->lock);
    terminal_wake();
    return r;
}

static void say_trouble(struct watch *w, const struct error *err)
{
    pthread_mutex_lock(&w->lock);
    str_replace(&w->trouble, err ? error_text(err) : NULL);
    w->changed = true;
    pthread_mutex_unlock(&w->lock);
    terminal_wake();
}

/* A snapshot, unless the events go on where they were; then events until they end. */
static int follow_once(struct watch *w, struct error **err)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_json_ json_t *snapshot = NULL;
    int r;

    if (!w->model.cursor) { /* only this thread changes it */
        r = client_call(w->common->socket, "GET", "/v1/status", NULL, &snapshot, err);
        if (r < 0)
            return r;
        pthread_mutex_lock(&w->lock);
        model_take_snapshot(&w->model, snapshot);
        pthread_mutex_unlock(&w->lock);
    }
    say_trouble(w, NULL);
    path = str_format("/v1/events?since=%s", w->model.cursor);
    return client_stream(w->common->socket, path, on_event, w, err);
}

static void *follow(void *context)
{
    struct watch *w = context;

    for (;;) {
        _cleanup_error_ struct error *err = NULL;

        if (follow_once(w, &err) < 0) {
            say_trouble(w, err);
            clock_sleep_ns(RETRY_NS);
        }
    }
    return NULL;
}

/* What is done next is decided anew all the time and is no event; failures are the other thread's
 * to tell. */
static void *ask_next(void *context)
{
    struct watch *w = context;

    for (;; clock_sleep_ns(ASK_NEXT_NS)) {
        _cleanup_error_ struct error *err = NULL;
        _cleanup_json_ json_t *schedule = NULL;

        if (client_call(w->common->socket, "GET", "/v1/schedule", NULL, &schedule, &err) < 0)
            continue;
        pthread_mutex_lock(&w->lock);
        model_take_decisions(&w->model, schedule);
        w->changed = true;
        pthread_mutex_unlock(&w->lock);
        terminal_wake();
    }
    return NULL;
}

static void draw(struct watch *w, const char *only)
{
    struct table_view view = {.utf8 = text_is_utf8(), .only = only,
                              .now_ns = clock_wall_s() * (int64_t)NS_PER_S};
    char **lines;
    size_t count;

    terminal_size(&view.columns, &view.lines);
    pthread_mutex_lock(&w->lock);
    view.trouble = w->trouble;
    w->changed = false;
    count = table_draw(&w->model, &view, &lines);
    pthread_mutex_unlock(&w->lock);
    terminal_draw(lines, count);
    table_free(lines, count);
}

static void watch_until_end(struct watch *w, const char *only)
{
    uint64_t drawn_ns = 0;

    for (;;) {
        uint64_t now = clock_now_ns(), since = now - drawn_ns, wait_ns;
        bool changed;

        pthread_mutex_lock(&w->lock);
        changed = w->changed;
        pthread_mutex_unlock(&w->lock);
        if (since >= (changed ? REDRAW_NS : IDLE_REDRAW_NS)) {
            draw(w, only);
            drawn_ns = now;
            continue;
        }
        wait_ns = (changed ? REDRAW_NS : IDLE_REDRAW_NS) - since;
        switch (terminal_wait((int)(wait_ns / NS_PER_MS) + 1)) {
        case TERMINAL_END:
            return;
        case TERMINAL_RESIZED:
            drawn_ns = 0;
            break;
        default:
            break;
        }
    }
}

int status_table(const struct cli_common *common, const json_t *snapshot, const char *only)
{
    static struct watch w; /* the thread has it until the process ends */
    pthread_t thread, other;
    int r = terminal_enter();

    if (r < 0)
        return r;
    w = (struct watch){.common = common, .changed = true};
    pthread_mutex_init(&w.lock, NULL);
    model_take_snapshot(&w.model, snapshot);
    r = pthread_create(&thread, NULL, follow, &w);
    if (r == 0)
        r = pthread_create(&other, NULL, ask_next, &w);
    if (r == 0)
        watch_until_end(&w, only);
    terminal_leave();
    fflush(NULL);
    _exit(r == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED); /* the thread is inside a call */
}

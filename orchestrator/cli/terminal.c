/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/align.h"
#include "base/fdio.h"

/* ECMA-48 and xterm: the other screen, no cursor, no wrapping at the right edge. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

static struct {
    volatile sig_atomic_t entered;
    volatile sig_atomic_t end_signal, resized, stop;
    bool has_input;
    struct termios before;
    int wake[2];
} t = {.wake = {-1, -1}};

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/* Only what a signal handler may call. */
static void give_back(void)
{
    if (!t.entered)
        return;
    t.entered = 0;
    if (t.has_input)
        tcsetattr(STDIN_FILENO, TCSANOW, &t.before);
    if (write(STDOUT_FILENO, LEAVE, strlen(LEAVE)) < 0)
        return;
}

static void on_fault(int number)
{
    give_back();
    signal(number, SIG_DFL);
    raise(number);
}

void terminal_wake(void)
{
    int code = errno;

    if (write(t.wake[1], "", 1) < 0) /* a full pipe wakes, too */
        errno = code;
    errno = code;
}

static void on_signal(int number)
{
    if (number == SIGWINCH)
        t.resized = 1;
    else if (number == SIGTSTP)
        t.stop = 1;
    else
        t.end_signal = number;
    terminal_wake();
}

static void take_over(void)
{
    struct termios raw;

    t.has_input = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t.before) == 0;
    if (t.has_input) {
        raw = t.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    t.entered = 1;
    fdio_write_all(STDOUT_FILENO, ENTER, strlen(ENTER));
}

int terminal_enter(void)
{
    const char *kind = getenv("TERM");
    struct sigaction action = {.sa_handler = on_signal}, fault = {.sa_handler = on_fault};

    if (!isatty(STDOUT_FILENO) || !kind || !*kind || strcmp(kind, "dumb") == 0)
        return -ENOTTY;
    if (pipe2(t.wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    take_over();
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        sigaction(ends[i], &action, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
        sigaction(faults[i], &fault, NULL);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGTSTP, &action, NULL);
    return 0;
}

void terminal_leave(void)
{
    give_back();
    if (t.end_signal) {
        signal(t.end_signal, SIG_DFL);
        raise(t.end_signal);
    }
}

void terminal_size(size_t *ret_columns, size_t *ret_lines)
{
    struct winsize w;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0;

    *ret_columns = known && w.ws_col ? w.ws_col : 80;
    *ret_lines = known && w.ws_row ? w.ws_row : 24;
}

void terminal_draw(char *const *lines, size_t count)
{
    char *page = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&page, &length);

    if (!out)
        return;
    fputs("\033[H", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s\033[K%s", lines[i], i + 1 < count ? "\r\n" : "");
    fputs("\033[J", out);
    fclose(out);
    if (fdio_write_all(STDOUT_FILENO, page, length) < 0)
        t.end_signal = SIGHUP; /* nobody looks any more */
    free(page);
}

/* ^Z: the shell gets its terminal, and later we ours. */
static void stop_here(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    t.stop = 0;
    give_back();
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &action, NULL);
    take_over();
}

static bool quit_was_typed(void)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        t.has_input = false; /* closed: do not spin */
    for (ssize_t i = 0; i < n; i++)
        if (keys[i] == 'q' || keys[i] == 4)
            return true;
    return false;
}

enum terminal_seen terminal_wait(int timeout_ms)
{
    struct pollfd fds[] = {{.fd = t.wake[0], .events = POLLIN},
                           {.fd = t.has_input ? STDIN_FILENO : -1, .events = POLLIN}};
    char bytes[64];

    poll(fds, ARRAY_SIZE(fds), timeout_ms);
    while (read(t.wake[0], bytes, sizeof(bytes)) > 0)
        ;
    if (t.end_signal || ((fds[1].revents & (POLLIN | POLLHUP)) && quit_was_typed()))
        return TERMINAL_END;
    if (t.stop) {
        stop_here();
        return TERMINAL_RESIZED;
    }
    if (t.resized) {
        t.resized = 0;
        return TERMINAL_RESIZED;
    }
    return TERMINAL_NOTHING;
}

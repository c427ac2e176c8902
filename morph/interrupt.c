/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t came;
static char children_path[64];

/* SIGTERM to every child: "PID PID " in the kernel's list.  Only calls that are safe in a signal
 * handler. */
static void end_children(void)
{
    int fd = open(children_path, O_RDONLY | O_CLOEXEC);
    char text[256];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    pid_t pid = 0;

    for (ssize_t i = 0; i < n; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else {
            if (pid > 1)
                kill(pid, SIGTERM);
            pid = 0;
        }
    }
    if (fd >= 0)
        close(fd);
}

static void on_signal(int number)
{
    int saved = errno;

    came = 1;
    end_children();
    errno = saved;
}

void interrupt_watch(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    snprintf(children_path, sizeof(children_path), "/proc/self/task/%d/children", (int)getpid());
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
}

bool interrupt_came(void)
{
    return came != 0;
}

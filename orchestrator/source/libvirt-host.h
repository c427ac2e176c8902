/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine on which a libvirt source's QEMU processes and images are: this one, or one that is
 * reached by ssh.  Commands run there as the user of the connection.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

struct host {
    char *destination; /* "user@name" for ssh; NULL: this machine */
    char *command;     /* the ssh program; NULL: "ssh" */
    char *port;        /* NULL: ssh's own */
    char *keyfile;     /* NULL: ssh's own */
    bool no_verify;    /* the URI says no_verify=1: unknown host keys are accepted */
};

/*
 * Fills *host from a libvirt URI.  EINVAL with a sentence for transports over which Slipway cannot
 * read disks (tls, tcp, …) and for URIs without a path.  host_done() also after a failure.
 */
int host_init(struct host *host, const char *uri, struct error **err);
void host_done(struct host *host);

static inline bool host_is_local(const struct host *host)
{
    return !host->destination;
}

/*
 * Runs a POSIX shell script with the NULL-terminated args as $1, $2, … to its end (at most
 * timeout_ns) and gives its standard output (freed by the caller; ret_output may be NULL).
 */
int host_script(const struct host *host, const char *script, const char *const args[],
                uint64_t timeout_ns, char **ret_output, struct error **err);

/* A directory that only `owner` ("UID:GID"; NULL: the user of the connection) may enter.  EEXIST
 * when it is there. */
int host_make_directory(const struct host *host, const char *path, const char *owner,
                        struct error **err);

/* rm -rf; refuses (EINVAL) whatever is not one of our own directories (host_own_directory). */
int host_remove_directory(const struct host *host, const char *path, struct error **err);

/* True for paths that begin as our own directories do and have no way out ("/../"). */
bool host_own_directory(const char *path);

#define HOST_DIRECTORY_PARENT "/var/tmp" /* on the host, whichever that is; survives a reboot */
#define HOST_DIRECTORY_PREFIX HOST_DIRECTORY_PARENT "/slipway-"

/*
 * Ends all processes of `program` ("qemu-nbd", "ssh") that have `mark` somewhere in their command
 * line, and waits until they are gone.  The mark is one of our unique directories, so this finds a
 * process also when nobody lived to write down its pid.
 */
int host_end_processes(const struct host *host, const char *program, const char *mark,
                       struct error **err);

/* Makes local_socket lead to remote_socket of the host (ssh -L); returns when it is listening. */
int host_tunnel_open(const struct host *host, const char *local_socket, const char *remote_socket,
                     pid_t *ret_pid, struct error **err);

/* True when a process accepts connections on the unix socket. */
bool socket_answers(const char *path);

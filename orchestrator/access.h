/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what.  Who connects to a unix socket is known from the kernel (SO_PEERCRED and
 * SO_PEERGROUPS, see socket(7) and unix(7): the credentials at the time of connect(), so a process
 * id that is used again does not matter).  Reading is GET, everything else is writing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

enum access_role { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE };

/* One of the two groups. */
struct access_group {
    bool known;
    gid_t gid;
    char name[48];
};

struct access_policy {
    uid_t own; /* slipwayd's user, who may do everything, as root may */
    struct access_group write, read;
};

/* Who is at the other end of a connection. */
struct access_peer {
    enum access_role role;
    int64_t uid;   /* -1: not a local user, but a certificate */
    char name[80]; /* of the user or the certificate; empty: not looked up yet */
};

/*
 * Looks the groups up.  A name that was given (a group's name or number) must exist: ENOENT.  With
 * NULL it is the default, "slipway" or "slipway-read", which counts when it exists and slipwayd runs
 * as root.
 */
int access_policy_load(struct access_policy *policy, const char *group, const char *read_group,
                       struct error **err);

/* The role of somebody with this user id and these groups. */
enum access_role access_decide(const struct access_policy *policy, uid_t uid, const gid_t *gids,
                               size_t gid_count);

/* Whoever connected to the unix socket that fd was accepted from; at most with the role `limit`. One
 * whose credentials cannot be read has the role none. */
void access_peer_of_socket(const struct access_policy *policy, int fd, enum access_role limit,
                           struct access_peer *ret_peer);

/* Looks the user's name up when that was not done yet; may take its time (NSS). */
void access_peer_identify(struct access_peer *peer);

/* What a request of this method needs. */
enum access_role access_needed(const char *method);

/* 0, or EACCES and a sentence that says who may.  The peer is identified; NULL is nobody. */
int access_check(const struct access_peer *peer, const char *method, struct error **err);

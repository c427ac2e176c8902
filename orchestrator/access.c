/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/access.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP_DEFAULT "slipway"
#define READ_GROUP_DEFAULT "slipway-read"
#define LOOKUP_BYTES 65536
#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

static bool gid_from_text(const char *text, gid_t *ret_gid)
{
    char *end;
    unsigned long gid = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || gid >= (gid_t)-1)
        return false;
    *ret_gid = (gid_t)gid;
    return true;
}

/* 0, -ENOENT or what went wrong. */
static int gid_by_name(const char *name, gid_t *ret_gid)
{
    struct group group, *found = NULL;
    char *buffer = malloc(LOOKUP_BYTES);
    int code = buffer ? getgrnam_r(name, &group, buffer, LOOKUP_BYTES, &found) : ENOMEM;

    if (found)
        *ret_gid = found->gr_gid;
    free(buffer);
    return found ? 0 : -(code ? code : ENOENT);
}

static int group_load(struct access_group *group, const char *asked, const char *usual,
                      const char *option, struct error **err)
{
    const char *name = asked ? asked : usual;
    int r;

    *group = (struct access_group){0};
    if (!asked && geteuid() != 0)
        return 0;
    snprintf(group->name, sizeof(group->name), "%s", name);
    r = gid_by_name(name, &group->gid);
    group->known = r == 0 || gid_from_text(name, &group->gid);
    if (group->known || !asked)
        return 0;
    return error_set(err, ENOENT, "there is no group '%s': make it ('groupadd --system %s') or "
                     "name another one with %s", name, name, option);
}

int access_policy_load(struct access_policy *policy, const char *group, const char *read_group,
                       struct error **err)
{
    int r = group_load(&policy->write, group, GROUP_DEFAULT, "--group", err);

    policy->own = geteuid();
    return r < 0 ? r : group_load(&policy->read, read_group, READ_GROUP_DEFAULT, "--read-group",
                                  err);
}

static bool is_member(const struct access_group *group, const gid_t *gids, size_t count)
{
    for (size_t i = 0; group->known && i < count; i++)
        if (gids[i] == group->gid)
            return true;
    return false;
}

enum access_role access_decide(const struct access_policy *policy, uid_t uid, const gid_t *gids,
                               size_t count)
{
    if (uid == 0 || uid == policy->own || is_member(&policy->write, gids, count))
        return ACCESS_WRITE;
    return is_member(&policy->read, gids, count) ? ACCESS_READ : ACCESS_NONE;
}

/* All groups of the peer, the primary one too; freed by the caller. */
static int peer_groups(int fd, gid_t primary, gid_t **ret_gids, size_t *ret_count)
{
    socklen_t length = 32 * sizeof(gid_t);
    gid_t *gids = NULL;

    for (;;) {
        gid_t *more = realloc(gids, length + sizeof(gid_t));

        if (!more) {
            free(gids);
            return -ENOMEM;
        }
        gids = more;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &length) == 0)
            break;
        /* ERANGE: length says how much is needed. */
        if (errno != ERANGE || length > GROUPS_MAX * sizeof(gid_t)) {
            int r = -errno;

            free(gids);
            return r;
        }
    }
    *ret_count = length / sizeof(gid_t);
    gids[(*ret_count)++] = primary;
    *ret_gids = gids;
    return 0;
}

void access_peer_identify(struct access_peer *peer)
{
    struct passwd user, *found = NULL;
    char *buffer;

    if (peer->name[0])
        return;
    buffer = malloc(LOOKUP_BYTES);
    if (buffer && peer->uid >= 0)
        getpwuid_r((uid_t)peer->uid, &user, buffer, LOOKUP_BYTES, &found);
    if (found)
        snprintf(peer->name, sizeof(peer->name), "%s", found->pw_name);
    else
        snprintf(peer->name, sizeof(peer->name), "uid %lld", (long long)peer->uid);
    free(buffer);
}

void access_peer_of_socket(const struct access_policy *policy, int fd, enum access_role limit,
                           struct access_peer *peer)
{
    struct ucred cred;
    socklen_t length = sizeof(cred);
    gid_t *gids = NULL;
    size_t count = 0;

    *peer = (struct access_peer){.role = ACCESS_NONE, .uid = -1};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || cred.uid == (uid_t)-1)
        return;
    peer->uid = cred.uid;
    if (peer_groups(fd, cred.gid, &gids, &count) < 0)
        return;
    peer->role = access_decide(policy, cred.uid, gids, count);
    if (peer->role > limit)
        peer->role = limit;
    free(gids);
}

enum access_role access_needed(const char *method)
{
    return strcmp(method, "GET") == 0 ? ACCESS_READ : ACCESS_WRITE;
}

int access_check(const struct access_peer *peer, const char *method, struct error **err)
{
    if (peer && peer->uid < 0 && peer->role < access_needed(method))
        return error_set(err, EACCES, "%s may not %s here: that needs the role %s in slipwayd's "
                         "--tls-roles", peer->name,
                         access_needed(method) == ACCESS_READ ? "look" : "change anything",
                         access_needed(method) == ACCESS_READ ? "read" : "write");
    if (!peer || peer->role == ACCESS_NONE)
        return error_set(err, EACCES, "%s may not use slipwayd: it is for root, for members of its "
                         "group (slipway, or --group of slipwayd), and to look for members of its "
                         "reading group (slipway-read, or --read-group)",
                         peer ? peer->name : "whoever asks");
    if (peer->role < access_needed(method))
        return error_set(err, EACCES, "%s may only look here: changes (%s) are for root and "
                         "members of slipwayd's group, on slipwayd's socket itself", peer->name,
                         method);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/govern-place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define NETWORKS_MAX 4

void govern_place_done(struct govern_place *p)
{
    free(p->source);
    free(p->host);
    free(p->address);
    free(p->node);
    *p = (struct govern_place){0};
}

char *govern_host_of_uri(const char *uri)
{
    const char *at = uri ? strstr(uri, "://") : NULL, *user;
    size_t length;

    if (!at)
        return str_dup("localhost");
    at += 3;
    length = strcspn(at, "/?#");
    user = memchr(at, '@', length);
    if (user) {
        length -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (*at == '[' && memchr(at, ']', length)) {
        at++;
        length = strcspn(at, "]");
    } else {
        const char *port = memchr(at, ':', length);

        length = port ? (size_t)(port - at) : length;
    }
    return length ? str_unescape(at, length) : str_dup("localhost");
}

const char *govern_place_key(const struct govern_place *p, const struct govern_limit *l)
{
    const char *name = govern_limit_name(l);

    if (*name)
        return name;
    switch (govern_limit_scope(l)) {
    case GOVERN_SOURCE:
        return p->source ? p->source : "";
    case GOVERN_HOST:
        return p->host ? p->host : "";
    case GOVERN_NODE:
        return p->node ? p->node : "";
    default:
        return "";
    }
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static bool applies(const struct govern_place *p, const struct govern_limit *l)
{
    const char *name = govern_limit_name(l);

    switch (govern_limit_scope(l)) {
    case GOVERN_SOURCE:
        return !*name || same(p->source, name);
    case GOVERN_HOST:
        return !*name || same(p->host, name);
    case GOVERN_NODE:
        return !*name || same(p->node, name);
    case GOVERN_NETWORK:
        return p->address && govern_network_has(name, p->address);
    default:
        return true;
    }
}

size_t govern_place_limits(const struct govern_place *p, struct govern_limit *const *limits,
                           size_t count, size_t ret[GOVERN_PLACE_LIMITS])
{
    size_t best[GOVERN_SCOPE_COUNT], n = 0, networks = 0;

    for (size_t i = 0; i < GOVERN_SCOPE_COUNT; i++)
        best[i] = count;
    for (size_t i = 0; i < count; i++) {
        enum govern_scope scope = govern_limit_scope(limits[i]);

        if (!applies(p, limits[i]))
            continue;
        if (scope == GOVERN_NETWORK && networks < NETWORKS_MAX) {
            networks++;
            ret[n++] = i;
        } else if (scope != GOVERN_NETWORK &&
                   (best[scope] == count || *govern_limit_name(limits[i]))) {
            best[scope] = i;
        }
    }
    for (size_t i = 0; i < GOVERN_SCOPE_COUNT; i++)
        if (best[i] < count)
            ret[n++] = best[i];
    return n;
}

static size_t entry_find(struct govern_entries *e, const struct govern_limit *limit,
                         const char *key, int64_t wall_ns)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->list[i].limit == limit && strcmp(e->list[i].key, key) == 0)
            return i;
    e->list = realloc(e->list, (e->count + 1) * sizeof(*e->list));
    if (!e->list)
        abort();
    e->list[e->count] = (struct govern_entry){.limit = limit, .key = str_dup(key)};
    if (limit)
        e->list[e->count].amount = govern_limit_at(limit, wall_ns);
    return e->count++;
}

size_t govern_entries_add(struct govern_entries *e, const struct govern_place *place,
                          struct govern_limit *const *limits, size_t count, int64_t wall_ns,
                          size_t ret[GOVERN_PLACE_LIMITS])
{
    size_t indices[GOVERN_PLACE_LIMITS];
    size_t n = govern_place_limits(place, limits, count, indices);

    for (size_t i = 0; i < n; i++) {
        const struct govern_limit *l = limits[indices[i]];

        ret[i] = entry_find(e, l, govern_place_key(place, l), wall_ns);
    }
    return n;
}

void govern_entries_done(struct govern_entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->list[i].key);
    free(e->list);
    *e = (struct govern_entries){0};
}

char *govern_entry_text(const struct govern_entry *entry)
{
    const struct govern_limit *l = entry->limit;

    if (!l)
        return str_dup("slipwayd");
    if (govern_limit_scope(l) == GOVERN_ALL)
        return str_dup("all syncs");
    return str_format("%s %s", govern_scope_name(govern_limit_scope(l)), entry->key);
}

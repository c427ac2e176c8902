/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/govern-limit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/calendar.h"
#include "orchestrator/fields.h"

#define WINDOWS_MAX 16
#define IOPS_MAX (INT64_C(1) << 32)
#define SYNCS_MAX 10000
#define BYTES_MAX (UINT64_C(1) << 50)
#define NAME_MAX_LENGTH 253 /* of a host */

struct rule {
    struct calendar_window windows[WINDOWS_MAX];
    size_t window_count; /* 0: always */
    struct govern_amount amount;
};

struct govern_limit {
    enum govern_scope scope;
    char *name;
    bool also_cutover;
    json_t *rules_json;
    struct rule *rules;
    size_t rule_count;
};

static const char *const scope_names[GOVERN_SCOPE_COUNT] = {
    [GOVERN_ALL] = "all",         [GOVERN_SOURCE] = "source", [GOVERN_HOST] = "host",
    [GOVERN_NETWORK] = "network", [GOVERN_NODE] = "node",
};

const char *govern_scope_name(enum govern_scope scope)
{
    return scope_names[scope];
}

int govern_scope_from_name(const char *name)
{
    for (int i = 0; name && i < GOVERN_SCOPE_COUNT; i++)
        if (strcmp(name, scope_names[i]) == 0)
            return i;
    return -EINVAL;
}

/* ---- networks ---- */

/* Address bytes of text; the number of bytes or 0. */
static size_t address_parse(const char *text, uint8_t bytes[16])
{
    if (inet_pton(AF_INET, text, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

/* False: it is not ADDRESS/BITS. */
static bool network_parse(const char *text, uint8_t bytes[16], size_t *ret_length,
                          unsigned *ret_bits)
{
    const char *slash = strchr(text, '/');
    char address[64], *end;
    unsigned long bits;

    if (!slash || (size_t)(slash - text) >= sizeof(address) || slash[1] < '0' || slash[1] > '9')
        return false;
    snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
    *ret_length = address_parse(address, bytes);
    bits = strtoul(slash + 1, &end, 10);
    *ret_bits = (unsigned)bits;
    return *ret_length > 0 && !*end && bits <= *ret_length * 8;
}

bool govern_network_has(const char *network, const char *address)
{
    uint8_t net[16], host[16];
    size_t length;
    unsigned bits;

    if (!network_parse(network, net, &length, &bits) || address_parse(address, host) != length)
        return false;
    for (unsigned bit = 0; bit < bits; bit++)
        if ((net[bit / 8] ^ host[bit / 8]) & (0x80u >> bit % 8))
            return false;
    return true;
}

/* ---- reading ---- */

int govern_name_check(enum govern_scope scope, const char *name, struct error **err)
{
    uint8_t bytes[16];
    size_t length;
    unsigned bits;

    if (scope == GOVERN_ALL && *name)
        return error_set(err, EINVAL, "a limit of all syncs has no name, but '%s' was given; use "
                         "the scope source, host, network or node", name);
    if (scope == GOVERN_NETWORK && !network_parse(name, bytes, &length, &bits))
        return error_set(err, EINVAL, "'%s' is no network: give its address and bits, such as "
                         "10.1.0.0/16", name);
    if (strlen(name) > NAME_MAX_LENGTH)
        return error_set(err, EINVAL, "the name of a limit has at most %d characters",
                         NAME_MAX_LENGTH);
    return 0;
}

static int bandwidth_text(const char *text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t bytes_s;
    } classes[] = {{"medium", 20000000 / 8}, {"fast", 30000000 / 8}, {"unlimited", 0}};
    size_t length = strlen(text), digits = strspn(text, "0123456789");
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (strcmp(text, classes[i].name) == 0) {
            *ret = classes[i].bytes_s;
            return 0;
        }
    if (digits == 0 || digits > 9 || length != digits + 4 ||
        strcmp(text + digits + 1, "bit") != 0) {
        r = str_to_bytes(text, ret);
        return r < 0 || *ret == 0 ? -EINVAL : 0;
    }
    *ret = strtoull(text, NULL, 10) * 1000 / 8;
    switch (text[digits]) {
    case 'G':
        *ret *= 1000;
        /* fall through */
    case 'M':
        *ret *= 1000;
        /* fall through */
    case 'k':
        return *ret ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

int govern_bandwidth_parse(const json_t *value, uint64_t *ret, struct error **err)
{
    const char *text = json_string_value(value);
    uint64_t bytes_s = 0;
    int r = -EINVAL;

    if (json_is_integer(value) && json_integer_value(value) > 0) {
        bytes_s = (uint64_t)json_integer_value(value);
        r = 0;
    } else if (text) {
        r = bandwidth_text(text, &bytes_s);
    }
    if (r == 0 && bytes_s <= BYTES_MAX) {
        *ret = bytes_s;
        return 0;
    }
    return error_set(err, EINVAL, "bandwidth cannot be %s%s%s: give bytes per second as a number "
                     "or as \"100M\", bits as \"200Mbit\", or \"medium\" (20 Mbit/s), \"fast\" "
                     "(30 Mbit/s) or \"unlimited\"", text ? "'" : "", text ? text : "that",
                     text ? "'" : "");
}

static int window_add(struct rule *rule, const json_t *text, struct error **err)
{
    if (!json_is_string(text))
        return error_set(err, EINVAL, "'when' must be a window such as \"mon-fri 08:00-18:00\", or "
                         "a list of them");
    if (rule->window_count == WINDOWS_MAX)
        return error_set(err, EINVAL, "a rule has at most %d windows", WINDOWS_MAX);
    return calendar_window_parse(json_string_value(text), &rule->windows[rule->window_count++],
                                 err);
}

static int windows_parse(const json_t *when, struct rule *rule, struct error **err)
{
    int r = 0;

    if (!when || !json_is_array(when))
        return when ? window_add(rule, when, err) : 0;
    if (json_array_size(when) == 0)
        return error_set(err, EINVAL, "'when' names no window: leave it out for any time");
    for (size_t i = 0; r == 0 && i < json_array_size(when); i++)
        r = window_add(rule, json_array_get(when, i), err);
    return r;
}

static int count_parse(const json_t *rule, const char *field, int64_t most, uint64_t *ret,
                       struct error **err)
{
    const json_t *value = json_object_get(rule, field);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : 0;

    if (!value)
        return 0;
    if (n < 1 || n > most)
        return error_set(err, EINVAL, "%s must be a number between 1 and %lld; leave it out for "
                         "any number", field, (long long)most);
    *ret = (uint64_t)n;
    return 0;
}

static int rule_fields_check(const json_t *body, struct error **err)
{
    static const char *const names[] = {"when", "bandwidth", "iops", "syncs"};
    const char *name;
    json_t *value;

    if (!json_is_object(body))
        return error_set(err, EINVAL, "a rule of a limit must be a JSON object");
    json_object_foreach((json_t *)(uintptr_t)body, name, value) {
        bool known = false;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            known |= strcmp(names[i], name) == 0;
        if (!known)
            return error_set(err, EINVAL, "unknown field '%s' in a rule of a limit: allowed are "
                             "when, bandwidth, iops, syncs", name);
    }
    return 0;
}

static int rule_parse(const json_t *body, struct rule *rule, struct error **err)
{
    const json_t *bandwidth = json_object_get(body, "bandwidth");
    uint64_t syncs = 0;
    int r = rule_fields_check(body, err);

    if (r == 0)
        r = windows_parse(json_object_get(body, "when"), rule, err);
    if (r == 0 && bandwidth)
        r = govern_bandwidth_parse(bandwidth, &rule->amount.bytes_s, err);
    if (r == 0)
        r = count_parse(body, "iops", IOPS_MAX, &rule->amount.iops, err);
    if (r == 0)
        r = count_parse(body, "syncs", SYNCS_MAX, &syncs, err);
    rule->amount.syncs = (unsigned)syncs;
    return r;
}

static int rules_parse(struct govern_limit *l, struct error **err)
{
    size_t n = json_array_size(l->rules_json);
    int r = 0;

    if (n < 1 || n > GOVERN_RULES_MAX)
        return error_set(err, EINVAL, "a limit needs 1 to %d rules", GOVERN_RULES_MAX);
    l->rules = mem_new(n, sizeof(*l->rules));
    l->rule_count = n;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = rule_parse(json_array_get(l->rules_json, i), &l->rules[i], err);
        if (r < 0)
            error_prefix(err, "rule %zu", i + 1);
    }
    return r;
}

int govern_limit_parse(const json_t *body, struct govern_limit **ret, struct error **err)
{
    static const struct field fields[] = {{"scope", FIELD_STRING, true},
                                          {"name", FIELD_STRING, false},
                                          {"rules", FIELD_ARRAY, true},
                                          {"also_cutover", FIELD_BOOL, false},
                                          {NULL}};
    int r = fields_check(body, fields, "a limit", err);
    const char *name = field_string(body, "name", ""), *scope;
    struct govern_limit *l;

    if (r < 0)
        return r;
    scope = field_string(body, "scope", "");
    r = govern_scope_from_name(scope);
    if (r < 0)
        return error_set(err, EINVAL, "there is no scope '%s': choose one of all, source, host, "
                         "network, node", scope);
    l = mem_new(1, sizeof(*l));
    *l = (struct govern_limit){.scope = (enum govern_scope)r,
                               .name = str_dup(name),
                               .also_cutover = field_bool(body, "also_cutover", false),
                               .rules_json = json_deep_copy(json_object_get(body, "rules"))};
    r = govern_name_check(l->scope, name, err);
    if (r == 0)
        r = rules_parse(l, err);
    if (r < 0)
        govern_limit_free(l);
    else
        *ret = l;
    return r;
}

void govern_limit_free(struct govern_limit *l)
{
    if (!l)
        return;
    free(l->name);
    json_decref(l->rules_json);
    free(l->rules);
    free(l);
}

json_t *govern_limit_json(const struct govern_limit *l)
{
    json_t *j = json_pack("{s:s, s:O, s:b}", "scope", scope_names[l->scope], "rules", l->rules_json,
                          "also_cutover", l->also_cutover);

    if (*l->name)
        json_object_set_new(j, "name", json_string(l->name));
    return j;
}

enum govern_scope govern_limit_scope(const struct govern_limit *l)
{
    return l->scope;
}

const char *govern_limit_name(const struct govern_limit *l)
{
    return l->name;
}

bool govern_limit_also_cutover(const struct govern_limit *l)
{
    return l->also_cutover;
}

/* ---- time ---- */

struct govern_amount govern_limit_at(const struct govern_limit *l, int64_t wall_ns)
{
    for (size_t i = 0; i < l->rule_count; i++)
        if (calendar_windows_contain(l->rules[i].windows, l->rules[i].window_count, wall_ns))
            return l->rules[i].amount;
    return (struct govern_amount){0};
}

int64_t govern_limit_change(const struct govern_limit *l, int64_t wall_ns)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < l->rule_count; i++) {
        const struct rule *rule = &l->rules[i];
        int64_t at;

        if (rule->window_count == 0)
            break; /* those behind it never come to count */
        at = calendar_windows_contain(rule->windows, rule->window_count, wall_ns)
                 ? calendar_windows_end(rule->windows, rule->window_count, wall_ns)
                 : calendar_windows_next(rule->windows, rule->window_count, wall_ns);
        first = MIN(first, at);
    }
    return first;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/params.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"

static const struct field migration_fields[] = {
    {"source", FIELD_STRING, true},      {"vm", FIELD_STRING, true},
    {"name", FIELD_STRING, false},       {"pool", FIELD_STRING, false},
    {"networks", FIELD_OBJECT, false},   {"shutdown_policy", FIELD_STRING, false},
    {"shutdown_timeout_s", FIELD_INTEGER, false},
    {"on_failure", FIELD_STRING, false}, {"morph", FIELD_BOOL, false},
    {"morph_options", FIELD_ARRAY, false},
    {"instant", FIELD_BOOL, false},      {"accel", FIELD_STRING, false},
    {"connections", FIELD_INTEGER, false},
    {"boot_timeout_s", FIELD_INTEGER, false},
    {"uuid", FIELD_STRING, false},       {NULL},
};

static bool name_character(char c, bool first)
{
    return isalnum((unsigned char)c) || (!first && (c == '.' || c == '_' || c == '-'));
}

int name_check(const char *what, const char *name, struct error **err)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        if (!name_character(name[i], i == 0))
            return error_set(err, EINVAL, "'%s' cannot be the name of a %s: use letters, digits, "
                             "'.', '_' and '-', and begin with a letter or digit", name, what);
    if (length == 0 || length > NAME_CHARACTERS_MAX)
        return error_set(err, EINVAL, "the name of a %s must have 1 to %d characters", what,
                         NAME_CHARACTERS_MAX);
    return 0;
}

char *name_from_vm(const char *vm)
{
    char *name = str_dup(vm);

    if (strlen(name) > NAME_CHARACTERS_MAX)
        name[NAME_CHARACTERS_MAX] = '\0';
    for (char *p = name; *p; p++)
        if (!name_character(*p, p == name))
            *p = p == name ? 'v' : '-';
    return name;
}

static int choice_check(const json_t *body, const char *field, const char *const *choices,
                        struct error **err)
{
    const char *value = field_string(body, field, NULL);
    char allowed[100] = "";
    size_t used = 0;

    if (!value)
        return 0;
    for (const char *const *c = choices; *c; c++) {
        if (strcmp(*c, value) == 0)
            return 0;
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? ", " : "",
                                 *c);
    }
    return error_set(err, EINVAL, "%s cannot be '%s': choose one of %s", field, value, allowed);
}

static int range_check(const json_t *body, const char *field, int64_t min, int64_t max,
                       struct error **err)
{
    int64_t value = field_integer(body, field, min);

    if (value < min || value > max)
        return error_set(err, EINVAL, "%s must lie between %lld and %lld", field, (long long)min,
                         (long long)max);
    return 0;
}

static int networks_check(const json_t *networks, struct error **err)
{
    const char *from;
    json_t *to;

    json_object_foreach((json_t *)networks, from, to)
        if (!json_is_string(to) || !*json_string_value(to) || !*from)
            return error_set(err, EINVAL, "the network mapping of '%s' must name a destination "
                             "network, \"bridge:NAME\" or \"none\"", from);
    return 0;
}

/* What slipwayd itself tells slipway-morph. */
static bool is_ours(const char *name, size_t length)
{
    static const char *const ours[] = {"disk", "nic", "dry-run", "wait", "record", "replay", "json",
                                       "accel", "check", "help", "version"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strlen(ours[i]) == length && memcmp(ours[i], name, length) == 0)
            return true;
    return false;
}

/* The rest is told by slipway-morph itself, which knows its options. */
static int morph_options_check(const json_t *options, struct error **err)
{
    json_t *option;
    size_t i;

    json_array_foreach((json_t *)options, i, option) {
        const char *text = json_string_value(option);
        size_t length = text && str_starts(text, "--") ? strcspn(text + 2, "=") : 0;

        if (length == 0)
            return error_set(err, EINVAL, "morph_options must hold options of slipway-morph, each "
                             "a string such as \"--dhcp\" or \"--key=/etc/slipway/web.key\"");
        if (is_ours(text + 2, length))
            return error_set(err, EINVAL, "morph_options cannot hold '%s': slipwayd gives that "
                             "option itself", text);
    }
    return 0;
}

static int values_check(const json_t *body, struct error **err)
{
    static const char *const policies[] = {"wait", "force", "fail", NULL};
    static const char *const failures[] = {"restart", "keep", NULL};
    static const char *const accels[] = {"auto", "kvm", "tcg", NULL};
    const char *pool = field_string(body, "pool", "/");
    int r = choice_check(body, "shutdown_policy", policies, err);

    if (r == 0)
        r = choice_check(body, "on_failure", failures, err);
    if (r == 0)
        r = choice_check(body, "accel", accels, err);
    if (r == 0)
        r = range_check(body, "shutdown_timeout_s", 1, 86400, err);
    if (r == 0)
        r = range_check(body, "boot_timeout_s", 1, 86400, err);
    if (r == 0)
        r = range_check(body, "connections", 1, 16, err);
    if (r == 0)
        r = networks_check(json_object_get(body, "networks"), err);
    if (r == 0)
        r = morph_options_check(json_object_get(body, "morph_options"), err);
    if (r == 0 && pool[0] != '/')
        r = error_set(err, EINVAL, "pool '%s' must be an absolute path", pool);
    if (r == 0 && !*field_string(body, "vm", ""))
        r = error_set(err, EINVAL, "vm must name a VM of the source");
    return r;
}

int params_complete(const json_t *body, const char *default_pool, json_t **ret_params,
                    struct error **err)
{
    int r = fields_check(body, migration_fields, "a migration", err);
    _cleanup_json_ json_t *params = NULL;
    _cleanup_free_ char *name = NULL;

    if (r == 0)
        r = values_check(body, err);
    if (r < 0)
        return r;
    name = name_from_vm(field_string(body, "vm", ""));
    params = json_pack("{s:s, s:s, s:{}, s:s, s:i, s:s, s:b, s:b, s:s, s:i}", "name", name, "pool",
                       default_pool, "networks", "shutdown_policy", "fail", "shutdown_timeout_s",
                       300, "on_failure", "restart", "morph", 1, "instant", 0,
                       "accel", "auto", "boot_timeout_s", 600);
    if (!params || json_object_update(params, (json_t *)body) < 0)
        return error_set_errno(err, ENOMEM, "cannot take the migration");
    r = name_check("migration", field_string(params, "name", ""), err);
    if (r < 0)
        return r;
    *ret_params = steal_ptr(params);
    return 0;
}

static int unknown_mapping(const json_t *networks, const char *from, const char *vm,
                           struct error **err)
{
    char known[300] = "";
    size_t used = 0;
    const char *name;
    json_t *to;

    json_object_foreach((json_t *)networks, name, to)
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                     used ? ", " : "", name);
    return error_set(err, EINVAL, "VM %s has no network '%s' to map: its networks are %s", vm, from,
                     used ? known : "none");
}

int params_networks(const json_t *params, const json_t *description, json_t **ret_networks,
                    struct error **err)
{
    json_t *map = json_object_get(params, "networks");
    _cleanup_json_ json_t *networks = json_object();
    const char *from;
    json_t *nic, *to;
    size_t i;

    json_array_foreach(json_object_get(description, "nics"), i, nic) {
        const char *network = field_string(nic, "network", NULL);

        if (network)
            json_object_set_new(networks, network,
                                json_string(field_string(map, network, network)));
    }
    json_object_foreach(map, from, to)
        if (!json_object_get(networks, from))
            return unknown_mapping(networks, from, field_string(params, "vm", "?"), err);
    *ret_networks = steal_ptr(networks);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/params.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/fields.h"

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

const struct param *param_find(const char *name)
{
    for (const struct param *p = migration_params; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

static int choice_check(const struct param *p, const char *value, struct error **err)
{
    char allowed[100] = "";
    size_t used = 0;

    for (const char *const *c = p->choices; *c; c++) {
        if (strcmp(*c, value) == 0)
            return 0;
        used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? ", " : "",
                                 *c);
    }
    return error_set(err, EINVAL, "%s cannot be '%s': choose one of %s", p->name, value, allowed);
}

int param_check(const struct param *p, const json_t *value, struct error **err)
{
    struct field fields[] = {{p->name, p->kind, false}, {NULL}};
    _cleanup_json_ json_t *alone = json_object();
    int64_t n = json_integer_value(value);
    int r;

    json_object_set(alone, p->name, (json_t *)value);
    r = fields_check(alone, fields, "a migration", err);
    if (r == 0 && p->choices)
        r = choice_check(p, json_string_value(value), err);
    if (r == 0 && p->min != p->max && (n < p->min || n > p->max))
        r = error_set(err, EINVAL, "%s must lie between %lld and %lld", p->name, (long long)p->min,
                      (long long)p->max);
    return r == 0 && p->check ? p->check(value, p->name, err) : r;
}

/* All that are given, and none that does not exist. */
static int values_check(const json_t *body, struct error **err)
{
    struct field fields[100] = {{NULL}};
    size_t n = 0;
    int r;

    for (const struct param *p = migration_params; p->name && n + 1 < ARRAY_SIZE(fields); p++)
        fields[n++] = (struct field){p->name, p->kind, p->required};
    r = fields_check(body, fields, "a migration", err);
    for (const struct param *p = migration_params; p->name && r == 0; p++)
        if (json_object_get(body, p->name))
            r = param_check(p, json_object_get(body, p->name), err);
    return r;
}

static void defaults_set(json_t *params)
{
    for (const struct param *p = migration_params; p->name; p++)
        if (p->fallback)
            json_object_set_new(params, p->name, json_loads(p->fallback, JSON_DECODE_ANY, NULL));
}

/* What one field says of another. */
static int together_check(const json_t *params, struct error **err)
{
    if (field_bool(params, "failback", false) && field_integer(params, "commit_window_s", 0) == 0)
        return error_set(err, EINVAL, "failback needs time in which to roll back: set "
                         "commit_window_s, too");
    if (field_bool(params, "failback", false) && !field_bool(params, "start", true))
        return error_set(err, EINVAL, "failback without start makes no sense: nothing would be "
                         "written that could be sent back");
    if (json_object_get(params, "dhcp") && !field_bool(params, "morph", true))
        return error_set(err, EINVAL, "dhcp needs the morph: it changes the guest");
    return 0;
}

int params_complete(const json_t *body, const char *default_pool, json_t **ret_params,
                    struct error **err)
{
    _cleanup_json_ json_t *params = json_object();
    _cleanup_free_ char *name = NULL;
    int r = values_check(body, err);

    if (r < 0)
        return r;
    name = name_from_vm(field_string(body, "vm", ""));
    json_object_set_new(params, "name", json_string(name));
    json_object_set_new(params, "pool", json_string(default_pool));
    defaults_set(params);
    if (json_object_update(params, (json_t *)body) < 0)
        return error_set_errno(err, ENOMEM, "cannot take the migration");
    r = name_check("migration", field_string(params, "name", ""), err);
    if (r == 0)
        r = together_check(params, err);
    if (r < 0)
        return r;
    *ret_params = steal_ptr(params);
    return 0;
}

int params_change(const json_t *params, const json_t *changes, json_t **ret_params,
                  struct error **err)
{
    _cleanup_json_ json_t *changed = json_copy((json_t *)params);
    const char *name;
    json_t *value;
    int r = json_is_object(changes) ? 0 : error_set(err, EINVAL, "the changes must be an object");

    json_object_foreach((json_t *)changes, name, value) {
        const struct param *p = param_find(name);

        if (!p)
            r = values_check(changes, err); /* its sentence lists what there is */
        else if (!p->late)
            r = error_set(err, EPERM,
                          "%s cannot be changed any more: cancel the migration and make "
                          "another one",
                          name);
        else
            r = param_check(p, value, err);
        if (r < 0)
            return r;
        json_object_set(changed, name, value);
    }
    if (r == 0)
        r = together_check(changed, err);
    if (r < 0)
        return r;
    *ret_params = steal_ptr(changed);
    return 0;
}

static int not_less_check(const json_t *params, const json_t *description, const char *field,
                          struct error **err)
{
    int64_t had = field_integer(description, field, 0), wanted = field_integer(params, field, had);

    if (wanted >= had || field_bool(params, "force", false))
        return 0;
    return error_set(err, EINVAL, "%s of %lld is less than the %lld that VM %s has: the guest may "
                     "not run with it; set force when it shall", field, (long long)wanted,
                     (long long)had, field_string(params, "vm", "?"));
}

static bool has_disk(const json_t *description, const char *name)
{
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(description, "disks"), i, disk)
        if (strcmp(field_string(disk, "name", ""), name) == 0)
            return true;
    return false;
}

int params_check_vm(const json_t *params, const json_t *description, struct error **err)
{
    const char *machine = field_string(params, "machine", NULL), *disk;
    json_t *pool;
    int r = not_less_check(params, description, "vcpus", err);

    if (r == 0)
        r = not_less_check(params, description, "memory_bytes", err);
    if (r < 0)
        return r;
    if (machine && strcmp(machine, "pc") == 0 && field_bool(description, "secure_boot", false))
        return error_set(err, EINVAL, "machine cannot be pc: VM %s uses Secure Boot, which only "
                         "q35 has", field_string(params, "vm", "?"));
    json_object_foreach(json_object_get(params, "storage"), disk, pool)
        if (!has_disk(description, disk))
            return error_set(err, EINVAL, "storage names disk '%s', which VM %s does not have",
                             disk, field_string(params, "vm", "?"));
    return 0;
}

json_t *params_morph_options(const json_t *params)
{
    json_t *options = json_array(), *given = json_object_get(params, "morph_options");
    const char *key = field_string(params, "ssh_key", NULL);

    if (field_bool(params, "dhcp", false))
        json_array_append_new(options, json_string("--dhcp"));
    if (key)
        json_array_append_new(options,
                              json_sprintf("--ssh-key=%s%s", key[0] == '/' ? "root=" : "", key));
    if (!field_bool(params, "keep_credentials", true))
        json_array_append_new(options, json_string("--drop-credentials"));
    if (given)
        json_array_extend(options, given);
    return options;
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

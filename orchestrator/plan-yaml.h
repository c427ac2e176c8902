/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML as JSON values that know where they stand.
 *
 * What is taken is the part of YAML 1.2 that has a JSON equivalent, with the scalars of its core
 * schema (https://yaml.org/spec/1.2.2/#103-core-schema): yes and no are strings.  Anchors and aliases
 * work; tags, merge keys, several documents and keys that are not scalars are refused.  A text is
 * bounded in bytes, depth and number of values, aliases counted as often as they are used.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include "orchestrator/plan-problem.h"

#define YAML_BYTES_MAX ((size_t)1 << 20)
#define YAML_DEPTH_MAX 16
#define YAML_VALUES_MAX 200000

struct yaml_node {
    char *name;             /* its key in the mapping above; NULL in a list and at the top */
    struct place key;       /* of that key; line 0: there is none */
    struct place at;        /* where the value begins */
    json_t *value;          /* of this node with everything below it; owned */
    struct yaml_node *children; /* of a mapping or list, in the order of the text; owned */
    struct yaml_node *last;     /* of the children */
    struct yaml_node *next;     /* sibling */
};

/*
 * Parses a text.  0 and the tree (an empty text is null), or -EINVAL with at least one problem
 * added: what is no YAML ends the parsing, a key that stands twice does not.
 */
int plan_yaml_parse(const char *text, size_t length, struct yaml_node **ret_tree,
               struct problems *problems);

/* NULL is fine. */
void plan_yaml_free(struct yaml_node *tree);
DEFINE_CLEANUP(struct yaml_node *, plan_yaml_free)

/* The child of a mapping, or NULL. */
struct yaml_node *plan_yaml_child(const struct yaml_node *node, const char *name);

/* Where to point at for a node: its key, or its value when it has none. */
struct place plan_yaml_place(const struct yaml_node *node);

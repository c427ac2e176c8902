/* SPDX-License-Identifier: Apache-2.0 */
/* What a person wrote, checked against the schema and brought into the form that the API takes. */
#pragma once

#include "orchestrator/plan-schema.h"
#include "orchestrator/plan-yaml.h"

/*
 * The fields of a mapping: sizes as bytes, lengths of time as seconds, single names as lists; what is
 * wrong is left out and added to the problems.  Comparisons become [{op, value}] with op one of <, <=,
 * =, >=, >.  A new reference to an object, also after problems.
 */
json_t *values_read(const struct yaml_node *node, const struct schema_object *object,
                    struct problems *problems);

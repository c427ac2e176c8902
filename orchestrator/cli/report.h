/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a migration for people. */
#pragma once

#include <jansson.h>

/* Prints what GET …/report answered. */
void report_print(const json_t *report);

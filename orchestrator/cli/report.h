/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a migration for people. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* The parts of a downtime, in their order. */
#define REPORT_PARTS 7
struct report_part {
    const char *field, *label;
};
extern const struct report_part report_parts[REPORT_PARTS];

/* Prints what GET …/report answered. */
void report_print(const json_t *report);

/* The same as a page of HTML that needs nothing else. */
void report_html(FILE *out, const json_t *report);

/* Many migrations on one page; plan: whose they are, or NULL. */
void report_html_summary(FILE *out, const json_t *migrations, const char *plan);

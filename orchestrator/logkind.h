/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of what slipwayd logs, each with the id it has in systemd's journal:
 *
 *     journalctl MESSAGE_ID=458407ffbc6c41b599894ea77024e5ed SLIPWAY_MIGRATION=web
 *
 * Both stay as they are when a sentence is worded anew; slipwayd(8) lists them.  Each is the first
 * two fields of a struct log_about.
 */
#pragma once

#include "base/log.h"

#define LOG_KIND_READY "ready", "86d1cc10171c4fcca1059fdd3db23d79"
#define LOG_KIND_ENDING "ending", "303b6781cbd74235aa9b1b42bffb2cc0"
#define LOG_KIND_NO_START "no-start", "dd96cfae57c3448d8b8e7293a3a6984a"
#define LOG_KIND_REQUEST "request", "8dbd05c8c85b410a9073c91967261d12"
#define LOG_KIND_REFUSED "refused", "194b52441b5144beab6f3aab409357d1"
#define LOG_KIND_TRANSITION "transition", "458407ffbc6c41b599894ea77024e5ed"
#define LOG_KIND_FAILURE "failure", "97bce07d6e344e8ab1a542b3394d9641"
#define LOG_KIND_NOTE "note", "5ba96bd40290498ab61966accfed748a"
#define LOG_KIND_CONTINUES "continues", "07a1fcf0d0954254a4b8589d9611eebb"
#define LOG_KIND_STUCK "stuck", "50fdecf7d941415f84b105e32b731cb5"
#define LOG_KIND_HOOK "hook", "65c4c2474e244d4a85621c8d56651562"
#define LOG_KIND_ALARM "alarm", "617d155d4ec9490b841ca0be94bbf63f"
#define LOG_KIND_GROUP "group", "4f5b5bc2d9c84e08804ff4e5411822fe"
#define LOG_KIND_REHEARSAL "rehearsal", "aa1c614d47d0422c805fcac715c558f7"
#define LOG_KIND_SCHEDULE "schedule", "91b2247f13154f2dbdf3c92cd71591bb"
#define LOG_KIND_CLOCK "clock", "ee4df4a86fb84bc3819c75e579e2894e"
#define LOG_KIND_SECRET "secret", "cfb0ea807da64d32b54a8e7c50310198"
#define LOG_KIND_TLS "tls", "8be7c06350484254bcab90b9f6e2cb3d"
#define LOG_KIND_JOURNAL "journal", "5eedaefb0a45470cba057a01e064f157"

/* A message of a kind about a migration and a source, each of which may be NULL. */
#define log_about(level, kind, migration, source, ...)                                             \
    log_write_about(level, &(const struct log_about){kind, migration, source}, __VA_ARGS__)

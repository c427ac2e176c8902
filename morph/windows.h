/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found out about a Windows guest: its version, its registry hives, and what the changes
 * have collected for its first boot.  Pure: reads the guest through struct tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "morph/buffer.h"
#include "morph/facts.h"
#include "morph/hive.h"
#include "morph/plan.h"

enum windows_arch { WINDOWS_X86, WINDOWS_AMD64, WINDOWS_ARM64 };

const char *windows_arch_name(enum windows_arch arch); /* as drivers call it: "amd64"; static */

/* SHA-256 of the files of the hives; "" when it is not known. */
struct windows_hash {
    char system[EDIT_HASH], software[EDIT_HASH];
};

struct windows {
    char *device;      /* the volume it is on; NULL until somebody sets it */
    char *esp;         /* where its EFI system partition is mounted for us; NULL: it has none */
    char *root;        /* directory of Windows as the guest writes it: "/Windows" */
    char *system_path; /* files of the two hives */
    char *software_path;
    struct hive *system;
    struct hive *software;
    char *control_set;            /* the one that boots: "ControlSet001" */
    char *product;                /* "Windows Server 2019 Standard" */
    unsigned major, minor, build; /* 10, 0, 17763 */
    bool is_server;
    enum windows_arch arch;

    struct windows_hash hash; /* as they were read */
    struct windows_hash v2v;  /* as they were before virt-v2v-in-place changed them */
    bool by_v2v;              /* virt-v2v-in-place gives it its drivers; windows-engine.h */
    const char *engine_why;   /* why not, when it might have; a clause, static; or NULL */

    /* Collected by the changes, in their order: */
    struct buffer system_what;   /* clauses: what is different in the hive SYSTEM */
    struct buffer software_what; /* the same for SOFTWARE */
    struct buffer steps;         /* lines of the script of the first boot */
    bool has_drivers;            /* driver packages are at hand for the first boot */
    bool has_agent_file;         /* so is the guest agent's installer */
};

/* True when version is at least major.minor. */
bool windows_since(const struct windows *w, unsigned major, unsigned minor);

/* The directory of Windows on a volume ("/Windows"), or NULL when it has none.  Owned by the
 * caller. */
char *windows_find_root(const struct tree *tree);

/*
 * Reads the hives and the version.  Errors, each with a sentence: -EBADMSG for damaged hives,
 * -ENOTSUP for a Windows that is not known here.
 */
int windows_read(const struct tree *tree, const char *root, struct windows **ret_windows,
                 struct error **err);
struct windows *windows_free(struct windows *w);
DEFINE_CLEANUP(struct windows *, windows_free)
#define _cleanup_windows_ _cleanup_(windows_freep)

/* Fills facts->os, ->family and ->windows (which is taken over). */
void windows_tell(struct windows *w, struct facts *facts);

/* Path below the control set in use: "ControlSet001\\" and the formatted rest; owned by the
 * caller. */
char *windows_key(const struct windows *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A path of the guest below the directory of Windows; owned by the caller. */
char *windows_path(const struct facts *facts, const char *below);

/* True when this driver of a service is in place and starts with the system. */
bool windows_has_boot_driver(const struct facts *facts, const char *service);

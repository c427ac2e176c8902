/* SPDX-License-Identifier: Apache-2.0 */
/* Power of a source VM.  "Off" is only what was read back from libvirt. */
#include "orchestrator/source/libvirt-source.h"

#include "base/clock.h"

#define POLL_NS (250 * NS_PER_MS)
#define ASK_AGAIN_NS (20 * NS_PER_S) /* guests ignore ACPI while they boot or show a dialogue */

int virt_power_get(struct source *source, const char *vm, enum source_power *ret_power,
                   struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    int r = virt_domain(source, vm, &domain, err);

    if (r == 0)
        *ret_power = virt_power(domain);
    return r;
}

/* GRACEFUL lets QEMU store its bitmaps; only one that does not react to SIGTERM is killed. */
static int force_off(virDomainPtr domain, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;

    if (virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0 ||
        virt_power(domain) == SOURCE_OFF || virDomainDestroy(domain) == 0)
        return 0;
    virt_error(&failure, "cannot switch off VM \"%s\"", virDomainGetName(domain));
    return virt_power(domain) == SOURCE_OFF ? 0 : error_move(err, &failure);
}

static int time_is_up(virDomainPtr domain, uint64_t timeout_ns, struct error **err)
{
    return error_set(err, ETIMEDOUT,
                     "VM \"%s\" did not shut down within %llu s%s and goes on running; shut it "
                     "down from inside, or choose the policy wait or force",
                     virDomainGetName(domain), (unsigned long long)(timeout_ns / NS_PER_S),
                     virt_power(domain) == SOURCE_PAUSED ? " (it is paused: resume it first)" : "");
}

/* Asks the guest (its agent when it answers, else the ACPI button).  A refusal is not the end: the
 * guest may be too busy now, and the policy decides what happens if it stays so. */
static void ask(virDomainPtr domain, uint64_t now, uint64_t *next)
{
    if (now < *next)
        return;
    virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_DEFAULT);
    *next = clock_now_ns() + ASK_AGAIN_NS;
}

static int wait_off(virDomainPtr domain, uint64_t timeout_ns, enum source_stop_policy policy,
                    bool (*cancelled)(void *), void *context, struct error **err)
{
    uint64_t start = clock_now_ns(), next = 0;

    while (virt_power(domain) != SOURCE_OFF) {
        uint64_t now = clock_now_ns();

        if (cancelled && cancelled(context))
            return error_set(err, ECANCELED,
                             "the shutdown of VM \"%s\" was cancelled; it may "
                             "still shut down by itself",
                             virDomainGetName(domain));
        if (now - start >= timeout_ns && policy == SOURCE_STOP_FORCE)
            return force_off(domain, err);
        if (now - start >= timeout_ns && policy == SOURCE_STOP_FAIL)
            return time_is_up(domain, timeout_ns, err);
        ask(domain, now, &next);
        clock_sleep_ns(POLL_NS);
    }
    return 0;
}

int virt_shutdown(struct source *source, const char *vm, uint64_t timeout_ns,
                  enum source_stop_policy policy, bool (*cancelled)(void *), void *context,
                  struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    int r = virt_domain(source, vm, &domain, err);

    if (r < 0)
        return r;
    if (virDomainIsPersistent(domain) == 0)
        return error_set(err, EPERM,
                         "VM \"%s\" is transient: it would vanish when it shuts down, before its "
                         "last changes are read; make it persistent with virsh define",
                         virDomainGetName(domain));
    r = wait_off(domain, timeout_ns, policy, cancelled, context, err);
    if (r == 0 && virt_power(domain) != SOURCE_OFF)
        return error_set(err, EIO,
                         "VM \"%s\" was switched off but still runs; look at the source "
                         "host",
                         virDomainGetName(domain));
    return r;
}

int virt_start(struct source *source, const char *vm, struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    int r = virt_domain(source, vm, &domain, err);

    if (r < 0 || virt_power(domain) != SOURCE_OFF || virDomainCreate(domain) == 0)
        return r;
    return virt_error(err, "cannot start VM \"%s\" on %s", virDomainGetName(domain), source->uri);
}

int virt_hold(struct source *source, const char *vm, struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    int64_t key;
    int r = virt_domain(source, vm, &domain, err);

    if (r < 0 || virt_power(domain) != SOURCE_RUNNING)
        return r;
    virDomainGetUUIDString(domain, uuid);
    r = virt_note(source, json_pack("{ss ss}", "kind", "hold", "vm", uuid), &key, err);
    if (r < 0 || virDomainSuspend(domain) == 0)
        return r;
    return virt_error(err, "cannot pause VM \"%s\" on %s", virDomainGetName(domain), source->uri);
}

/* Somebody may have let it go on meanwhile, or switched it off. */
int virt_release(virDomainPtr domain, struct error **err)
{
    int state = 0, reason = 0;

    if (!domain || virDomainGetState(domain, &state, &reason, 0) < 0 ||
        state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_USER ||
        virDomainResume(domain) == 0)
        return 0;
    return virt_error(err, "cannot let VM \"%s\" go on", virDomainGetName(domain));
}

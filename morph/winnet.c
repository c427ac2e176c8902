/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/winnet.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "morph/netconfig.h"

#define NET_CLASS "{4D36E972-E325-11CE-BFC1-08002BE10318}"
#define CHARACTERISTIC_PHYSICAL 0x4

bool winnet_ipv4(const char *text, char ret_ip[static WINNET_IPV4])
{
    unsigned parts[4];

    for (size_t i = 0; i < 4; i++) {
        size_t digits = strspn(text, "0123456789");

        if (digits == 0 || digits > 3 || text[digits] != (i < 3 ? '.' : '\0'))
            return false;
        parts[i] = (unsigned)strtoul(text, NULL, 10);
        if (parts[i] > 255)
            return false;
        text += digits + 1;
    }
    snprintf(ret_ip, WINNET_IPV4, "%u.%u.%u.%u", parts[0], parts[1], parts[2], parts[3]);
    return true;
}

/* Ones, then zeros.  ip: as winnet_ipv4() writes it. */
static bool is_mask(const char *ip)
{
    uint32_t bits = 0, rest;

    for (size_t i = 0; i < 4; i++) {
        bits = bits << 8 | (uint32_t)strtoul(ip, NULL, 10);
        ip += strcspn(ip, ".") + (i < 3);
    }
    rest = ~bits;
    return bits != 0 && (rest & (rest + 1)) == 0;
}

static bool is_guid(const char *text)
{
    static const char form[] = "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}";

    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != form[i])
            return false;
    return true;
}

static bool is_suffix(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return n > 0 && n < sizeof(((struct wincard *)0)->suffix) && !text[n];
}

bool wincard_is_configured(const struct wincard *card)
{
    return card->address_count > 0 || card->server_count > 0;
}

bool winnet_instance_mac(const char *instance, char ret_mac[static 18])
{
    const char *slash = strrchr(instance, '\\');
    const char *id = slash ? slash + 1 : instance;
    char bare[13];

    /* A serial number of 64 bits, made of the address with FFFF in its middle. */
    if (strlen(id) != 18 || strncasecmp(id + 6, "FFFF", 4) != 0 || strcmp(id + 16, "00") != 0)
        return false;
    snprintf(bare, sizeof(bare), "%.6s%.6s", id, id + 10);
    for (size_t i = 0; i < 6; i++) {
        if (!isxdigit((unsigned char)bare[2 * i]) || !isxdigit((unsigned char)bare[2 * i + 1]))
            return false;
        snprintf(ret_mac + 3 * i, 4, "%c%c%s", tolower((unsigned char)bare[2 * i]),
                 tolower((unsigned char)bare[2 * i + 1]), i < 5 ? ":" : "");
    }
    return true;
}

static void format_mac(const unsigned char *bytes, char ret_mac[static 18])
{
    snprintf(ret_mac, 18, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
             bytes[4], bytes[5]);
}

/* An address that somebody set ("005056AB12CD", also with hyphens). */
static bool override_mac(const char *text, char ret_mac[static 18])
{
    unsigned char bytes[6];
    size_t digits = 0;

    for (; *text; text++) {
        int c = tolower((unsigned char)*text);

        if (c == '-' || c == ':')
            continue;
        if (!isxdigit(c) || digits == 12)
            return false;
        bytes[digits / 2] = (unsigned char)((digits % 2 ? bytes[digits / 2] << 4 : 0) |
                                            (isdigit(c) ? c - '0' : c - 'a' + 10));
        digits++;
    }
    if (digits == 12)
        format_mac(bytes, ret_mac);
    return digits == 12;
}

/* Where Windows 10 and later note what the card itself said. */
static bool noted_mac(const struct windows *w, const char *guid, char ret_mac[static 18])
{
    static const char *const values[] = {"CurrentAddress", "PermanentAddress"};
    _cleanup_free_ char *key =
        windows_key(w, "Control\\NetworkSetup2\\Interfaces\\%s\\Kernel", guid);

    for (size_t i = 0; i < 2; i++) {
        uint32_t type;
        size_t length = 0;
        _cleanup_free_ char *data = hive_bytes(w->system, key, values[i], &type, &length);
        static const unsigned char none[6];

        if (data && type == HIVE_BINARY && length == 6 && memcmp(data, none, 6) != 0) {
            format_mac((const unsigned char *)data, ret_mac);
            return true;
        }
    }
    return false;
}

static void read_mac(const struct windows *w, const char *driver_key, struct wincard *card)
{
    _cleanup_free_ char *set = hive_text(w->system, driver_key, "NetworkAddress");
    _cleanup_free_ char *instance = hive_text(w->system, driver_key, "DeviceInstanceID");
    _cleanup_free_ char *key =
        windows_key(w, "Control\\Network\\" NET_CLASS "\\%s\\Connection", card->guid);

    if ((set && override_mac(set, card->mac)) || noted_mac(w, card->guid, card->mac) ||
        (instance && winnet_instance_mac(instance, card->mac)))
        return;
    free(instance);
    /* Before Windows 10 the connection tells the device, not the driver's key. */
    instance = hive_text(w->system, key, "PnpInstanceID");
    if (!instance || !winnet_instance_mac(instance, card->mac))
        *card->mac = '\0';
}

static void read_connection(const struct windows *w, struct wincard *card)
{
    _cleanup_free_ char *key =
        windows_key(w, "Control\\Network\\" NET_CLASS "\\%s\\Connection", card->guid);
    _cleanup_free_ char *name = hive_text(w->system, key, "Name");
    bool odd = !name || strlen(name) >= sizeof(card->connection);

    for (const char *p = name; p && *p; p++)
        odd = odd || (unsigned char)*p < ' ' || *p == 0x7f;
    snprintf(card->connection, sizeof(card->connection), "%s", odd ? "" : name);
}

static void read_addresses(const struct windows *w, const char *key, struct wincard *card)
{
    char **ips = hive_texts(w->system, key, "IPAddress");
    char **masks = hive_texts(w->system, key, "SubnetMask");

    for (size_t i = 0; ips[i] && masks[i] && card->address_count < WINNET_ADDRESSES; i++) {
        __typeof__(&card->addresses[0]) a = &card->addresses[card->address_count];

        if (winnet_ipv4(ips[i], a->ip) && strcmp(a->ip, "0.0.0.0") != 0 &&
            winnet_ipv4(masks[i], a->mask) && is_mask(a->mask))
            card->address_count++;
    }
    tree_names_free(ips);
    tree_names_free(masks);
}

static void read_gateways(const struct windows *w, const char *key, struct wincard *card)
{
    char **list = hive_texts(w->system, key, "DefaultGateway");

    for (size_t i = 0; list[i] && card->gateway_count < WINNET_SERVERS; i++)
        if (winnet_ipv4(list[i], card->gateways[card->gateway_count]))
            card->gateway_count++;
    tree_names_free(list);
}

/* Servers are separated by commas, in old systems by blanks. */
static void read_servers(const struct windows *w, const char *key, struct wincard *card)
{
    _cleanup_free_ char *text = hive_text(w->system, key, "NameServer");
    char *save = NULL;

    for (char *one = text ? strtok_r(text, ", ", &save) : NULL;
         one && card->server_count < WINNET_SERVERS; one = strtok_r(NULL, ", ", &save))
        if (winnet_ipv4(one, card->servers[card->server_count]))
            card->server_count++;
}

static void read_configuration(const struct windows *w, struct wincard *card)
{
    _cleanup_free_ char *key =
        windows_key(w, "Services\\Tcpip\\Parameters\\Interfaces\\%s", card->guid);
    _cleanup_free_ char *suffix = hive_text(w->system, key, "Domain");
    uint32_t dhcp = 1;

    hive_number(w->system, key, "EnableDHCP", &dhcp);
    if (dhcp == 0) {
        read_addresses(w, key, card);
        read_gateways(w, key, card);
    }
    read_servers(w, key, card);
    if (suffix && is_suffix(suffix))
        snprintf(card->suffix, sizeof(card->suffix), "%s", suffix);
}

void winnet_read(const struct windows *w, struct winnet *ret_net)
{
    _cleanup_free_ char *class = windows_key(w, "Control\\Class\\" NET_CLASS);
    char **keys = hive_list(w->system, class);

    *ret_net = (struct winnet){0};
    for (size_t i = 0; keys[i] && ret_net->count < WINNET_CARDS; i++) {
        _cleanup_free_ char *key = str_format("%s\\%s", class, keys[i]);
        _cleanup_free_ char *guid = hive_text(w->system, key, "NetCfgInstanceId");
        struct wincard *card = &ret_net->cards[ret_net->count];
        uint32_t kind = CHARACTERISTIC_PHYSICAL;

        hive_number(w->system, key, "Characteristics", &kind);
        if (!guid || !is_guid(guid) || !(kind & CHARACTERISTIC_PHYSICAL))
            continue;
        memcpy(card->guid, guid, sizeof(card->guid));
        read_mac(w, key, card);
        read_connection(w, card);
        read_configuration(w, card);
        ret_net->count++;
    }
    tree_names_free(keys);
}

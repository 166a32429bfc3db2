/* The gateway from outside of serve: its configuration checked or shown, its nginx ended. */
#include "base/mem.h"
#include "cli/cli.h"
#include "flagfile/snapshot.h"
#include "gateway/gateway.h"

#define CONF_MAX ((size_t)16 * 1024 * 1024)

static int open_gateway(struct cli *cli, int argc, const char *command, struct gateway **ret,
                        struct err *err) {
    _cleanup_(mem_freep) char *blob = snapshot_blob_path(cli->state_path);
    if (argc != 0)
        return err_set(err, ERR_USAGE, "gateway %s wants no arguments", command);
    if (cli->conf->gateway.at.line == 0)
        return err_set(err, ERR_CONF, "%s has no 'gateway'", cli->config_path);
    return gateway_new(cli->conf, cli->state_path, blob, ret, err);
}

int cmd_gateway_check(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct gateway *g = NULL;
    (void)argv;
    int rc = open_gateway(cli, argc, "check", &g, err);
    if (rc == 0)
        rc = gateway_check(g, err);
    gateway_free(g);
    buf_add_text(&out, cli->json ? "{\"ok\":true}\n" : "nginx takes the configuration\n");
    return rc < 0 ? rc : cli_print(&out, err);
}

int cmd_gateway_conf(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = CONF_MAX};
    struct gateway *g = NULL;
    (void)argv;
    int rc = open_gateway(cli, argc, "conf", &g, err);
    if (rc < 0)
        return rc;
    gateway_conf(g, &out);
    gateway_free(g);
    return cli_print(&out, err);
}

int cmd_gateway_stop(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct gateway *g = NULL;
    (void)argv;
    int rc = open_gateway(cli, argc, "stop", &g, err);
    if (rc == 0)
        rc = gateway_stop(g, err);
    gateway_free(g);
    buf_add_text(&out, cli->json ? "{\"ok\":true}\n" : "nginx has ended\n");
    return rc < 0 ? rc : cli_print(&out, err);
}

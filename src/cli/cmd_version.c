#include "base/buf.h"
#include "cli/cli.h"

#include <libpq-fe.h>
#include <mongoc/mongoc.h>
#include <sqlite3.h>

int cmd_version(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)argv;
    if (argc)
        return err_set(err, ERR_USAGE, "version takes no arguments");
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    int pq = PQlibVersion();
    buf_printf(&out,
               cli->json ? "{\"banyan\":\"%s\",\"libpq\":\"%d.%d\",\"libmongoc\":\"%s\",\"sqlite\":"
                           "\"%s\"}\n"
                         : "banyan %s\nlibpq %d.%d\nlibmongoc %s\nSQLite %s\n",
               BANYAN_VERSION, pq / 10000, pq % 10000, mongoc_get_version(), sqlite3_libversion());
    return cli_print(&out, err);
}

/* What a server's error code means for whoever sent the command. */
#include "db/mongo.h"

struct known_code {
    int code;
    enum mongo_verdict verdict;
};

/* Codes of MongoDB's error_codes.yml; which of them pass is the drivers' retryable-writes
 * specification plus what bulk writers meet under load. All operations here are idempotent. */
static const struct known_code known[] = {
    {6, MONGO_AMBIGUOUS},    /* HostUnreachable */
    {7, MONGO_AMBIGUOUS},    /* HostNotFound */
    {24, MONGO_RETRY},       /* LockTimeout */
    {46, MONGO_RETRY},       /* LockBusy */
    {50, MONGO_RETRY},       /* MaxTimeMSExpired */
    {63, MONGO_RETRY},       /* StaleShardVersion */
    {64, MONGO_RETRY},       /* WriteConcernFailed: written, not acknowledged in time */
    {89, MONGO_AMBIGUOUS},   /* NetworkTimeout */
    {91, MONGO_RETRY},       /* ShutdownInProgress */
    {112, MONGO_RETRY},      /* WriteConflict */
    {133, MONGO_RETRY},      /* FailedToSatisfyReadPreference */
    {134, MONGO_RETRY},      /* ReadConcernMajorityNotAvailableYet */
    {150, MONGO_RETRY},      /* StaleEpoch */
    {189, MONGO_RETRY},      /* PrimarySteppedDown */
    {202, MONGO_AMBIGUOUS},  /* NetworkInterfaceExceededTimeLimit */
    {225, MONGO_RETRY},      /* TransactionTooOld */
    {251, MONGO_RETRY},      /* NoSuchTransaction */
    {262, MONGO_RETRY},      /* ExceededTimeLimit */
    {290, MONGO_RETRY},      /* TransactionExceededLifetimeLimitSeconds */
    {314, MONGO_RETRY},      /* ObjectIsBusy */
    {317, MONGO_RETRY},      /* ConnectionPoolExpired */
    {384, MONGO_RETRY},      /* ConnectionError */
    {462, MONGO_RETRY},      /* IngressRequestRateLimitExceeded */
    {9001, MONGO_AMBIGUOUS}, /* SocketException */
    {10058, MONGO_RETRY},    /* LegacyNotPrimary */
    {10107, MONGO_RETRY},    /* NotWritablePrimary */
    {11600, MONGO_RETRY},    /* InterruptedAtShutdown */
    {11601, MONGO_RETRY},    /* Interrupted: somebody's killOp, ours too */
    {11602, MONGO_RETRY},    /* InterruptedDueToReplStateChange */
    {13388, MONGO_RETRY},    /* StaleConfig */
    {13435, MONGO_RETRY},    /* NotPrimaryNoSecondaryOk */
    {13436, MONGO_RETRY},    /* NotPrimaryOrSecondary */
    {14031, MONGO_RETRY},    /* OutOfDiskSpace: somebody will make room */
    {16500, MONGO_RETRY},    /* TooManyRequests */
};

enum mongo_verdict mongo_code_verdict(int code) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == code)
            return known[i].verdict;
    return code == 0 ? MONGO_OK : MONGO_REFUSED;
}

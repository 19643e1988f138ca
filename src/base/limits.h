#pragma once
/* limits.h — every length, count, depth and time that the outside can push on, in one
 * place (docs/limits.md). Sizes are octets, times milliseconds unless the name says
 * otherwise. */

/* messages and MIME */
#define LIMIT_MESSAGE            (50u << 20) /* default; facteur.conf(5) max-message */
#define LIMIT_HEADER_FIELD       (256u << 10)
#define LIMIT_HEADER_ALL         (2u << 20)
#define LIMIT_HEADER_FIELDS      5000
#define LIMIT_MIME_DEPTH         50
#define LIMIT_MIME_PARTS         2000
#define LIMIT_MIME_PARAMS        200         /* a part */
#define LIMIT_MIME_PARAM_VALUE   (16u << 10)
#define LIMIT_MIME_BOUNDARY      2048        /* RFC 2046 5.1.1 allows 70; senders exceed it */
#define LIMIT_ADDRESSES          5000        /* kept of one field for ENVELOPE */
#define LIMIT_COMMENT_DEPTH      64
#define LIMIT_RECEIVED           100         /* RFC 5321 6.3 */
#define LIMIT_REFERENCES         200         /* message ids looked at for threading */

/* SMTP */
#define LIMIT_SMTP_LINE          2048        /* RFC 5321 4.5.3.1.4 asks for 512 + extensions */
#define LIMIT_SMTP_AUTH_LINE     12288       /* RFC 4954 4 */
#define LIMIT_SMTP_RCPT          1000
#define LIMIT_SMTP_LOCAL_PART    64          /* RFC 5321 4.5.3.1.1 */
#define LIMIT_SMTP_DOMAIN        255
#define LIMIT_SMTP_ERRORS        20          /* then 421 */
#define LIMIT_SMTP_JUNK          100         /* NOOP, RSET, HELP… without progress, then 421 */
#define LIMIT_SMTP_TIMEOUT       300000      /* RFC 5321 4.5.3.2.7: at least 5 minutes */
#define LIMIT_SMTP_DATA_TIME     3600000     /* the whole of one message */
#define LIMIT_SMTP_DATA_RATE     500         /* octets a second, after the first minute */
#define LIMIT_DELIVER_ACCOUNTS   32          /* filed in the transaction itself; others get a hand-off row */

/* IMAP */
#define LIMIT_IMAP_LINE_PREAUTH  (8u << 10)
#define LIMIT_IMAP_LINE          (64u << 10)
#define LIMIT_IMAP_LITERAL_PREAUTH 4096
#define LIMIT_IMAP_LITERAL       (64u << 10) /* literals that are not messages */
#define LIMIT_IMAP_DEPTH         32
#define LIMIT_IMAP_ERRORS        50          /* BAD in a row, then BYE */
#define LIMIT_IMAP_PREAUTH_COMMANDS 100  /* before login, then BYE */
#define LIMIT_IMAP_TIMEOUT_PREAUTH 60000
#define LIMIT_IMAP_TIMEOUT       1800000     /* RFC 3501 5.4: at least 30 minutes */
#define LIMIT_IMAP_IDLE_NOTE     240000      /* of IDLE: "* OK Still here" */
#define LIMIT_IMAP_SEARCH_TEXTS  64          /* HEADER, BODY, TEXT… keys of one SEARCH */
#define LIMIT_MAILBOX_NAME       1000        /* UTF-8 octets, whole path */
#define LIMIT_MAILBOX_DEPTH      50
#define LIMIT_MAILBOXES          10000       /* an account; subscriptions likewise */
#define LIMIT_KEYWORD            64          /* octets */
#define LIMIT_KEYWORDS           64          /* an account */
#define LIMIT_COPY_MESSAGES      200000      /* one transaction */
#define LIMIT_STORE_CHUNK        2000        /* messages per transaction of STORE, EXPUNGE, MOVE */

/* POP3 */
#define LIMIT_POP3_LINE          512         /* RFC 2449 4: 255; AUTH answers longer */
#define LIMIT_POP3_AUTH_LINE     12288
#define LIMIT_POP3_ERRORS        20
#define LIMIT_POP3_PREAUTH_COMMANDS 100  /* before login, then the connection closes */
#define LIMIT_POP3_TIMEOUT       600000      /* RFC 1939 3: at least 10 minutes */
#define LIMIT_POP3_TIMEOUT_PREAUTH 60000

/* connections, work, output */
#define LIMIT_CONN_PREAUTH_PER_NET 30        /* an IPv4 address or IPv6 /64 */
#define LIMIT_CONN_PER_NET       200
#define LIMIT_CONN_PER_USER      100
#define LIMIT_PREAUTH_TIME       600000      /* of IMAP and POP3, from the first octet to the login */
#define LIMIT_CONN_RATE          300         /* a minute and net */
#define LIMIT_CONNS              20000
#define LIMIT_READ_CHUNK         (64u << 10) /* input held for one job */
#define LIMIT_OUT_STEP           (256u << 10)/* output of one run() before it yields */
#define LIMIT_TLS_HANDSHAKE_TIME 30000
#define LIMIT_TLS_HANDSHAKES     512         /* waiting for a crypto worker; more are refused */
#define LIMIT_HELD_ANSWERS       64          /* commits of one session under way */
#define LIMIT_SHUTDOWN_TIME      10000

/* auth */
#define LIMIT_USER               320         /* local part, @, domain */
#define LIMIT_PASSWORD           1024
#define LIMIT_AUTH_TRIES         6           /* a connection */

/* store */
#define LIMIT_KEY                1000
#define LIMIT_VALUE              (90u << 10)
#define LIMIT_TXN                (64u << 20)
#define LIMIT_TRACE              (32u << 10) /* trace lines in front of one message */
#define LIMIT_CHANGE_LOG         50000       /* transactions an account's change log goes back */
#define LIMIT_ACCOUNTS           10000000
#define LIMIT_QUOTA_GRACE_MESSAGES 50        /* beyond the quota, for messages whose recipient was accepted */
#define LIMIT_RETENTION_DAYS     3650        /* of keep-deleted and expiry */
#define LIMIT_UNDELETE_LIST      10000       /* messages one list shows */

/* administration */
#define LIMIT_FRAME              (1u << 20)  /* octets of one frame of a stream verb */
#define LIMIT_FRAME_HELD         (4u << 20)  /* said by the peer while it takes nothing */
#define LIMIT_CONTROL_THREADS    8
#define LIMIT_CONTROL_STREAMS    6           /* of them; two always answer who */
#define LIMIT_CONTROL_REQUEST    (16u << 20)
#define LIMIT_IMPORT_MESSAGE     (1u << 30)  /* the administrator's mail is not refused for its size */

/* backup */
#define LIMIT_BACKUP_MANIFEST    (256u << 20)
#define LIMIT_BACKUP_SECRETS     (64u << 20) /* what lies beside the store, together */
#define LIMIT_BACKUPS            10000       /* in one directory */
#define LIMIT_PASSPHRASE         1024

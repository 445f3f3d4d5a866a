-- The tables of one day, as simulators/world exports them. Money is in fen.
-- `deal` is how a bank and the ledger name one payment to each other: the
-- numbers of its message, or of the counter's.

-- Banks. What each bank's own book says about our account there.
CREATE TABLE bank    (bank INTEGER, si_fen INTEGER, taken_fen INTEGER, cash_fen INTEGER); -- balance; of it by card, at counters
CREATE TABLE booking (bank INTEGER, deal TEXT, kind TEXT, date INTEGER, fen INTEGER);     -- debit, reversal, cash, cash-back
CREATE TABLE lie     (bank INTEGER, deal TEXT, kind TEXT);                                -- what the bank was made to do wrong
CREATE TABLE found   (bank INTEGER, deal TEXT);                                           -- breaks that the day's match found

-- People. What each terminal was told and wrote down, and what tellers hold.
CREATE TABLE told    (payment TEXT, ending TEXT);
CREATE TABLE intent  (payment TEXT, fen INTEGER, state TEXT);
CREATE TABLE teller  (bank INTEGER, payment TEXT, fen INTEGER, kept INTEGER);

-- Ledger. Read from its log and its journal.
CREATE TABLE deal    (bank INTEGER, deal TEXT, payment TEXT);
CREATE TABLE payment (payment TEXT, bank INTEGER, channel INTEGER, fen INTEGER, state TEXT);
CREATE TABLE entry   (row INTEGER, payment TEXT, bank INTEGER, date INTEGER, sign INTEGER, fen INTEGER); -- sign -1: in red
CREATE TABLE line    (row INTEGER, fund INTEGER, account INTEGER, dr INTEGER, cr INTEGER);
CREATE TABLE part    (row INTEGER, due INTEGER, fen INTEGER);                             -- what an entry gives to a due
CREATE TABLE due     (due INTEGER, fen INTEGER, state TEXT);
CREATE TABLE total   (bank INTEGER, date INTEGER, payments_fen INTEGER, reversals_fen INTEGER);
CREATE TABLE proof   (payment TEXT, source INTEGER, mac_ok INTEGER, resp TEXT, maker INTEGER, checker INTEGER); -- of each posting

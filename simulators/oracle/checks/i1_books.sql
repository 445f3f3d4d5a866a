-- I1: each entry balances in each fund, clears what it says, and gives its dues
-- just that.
SELECT 'journal row ' || row || ', fund ' || fund, 'Dr ' || SUM(dr) || ', Cr ' || SUM(cr) || ' fen'
FROM line GROUP BY row, fund HAVING SUM(dr) <> SUM(cr)
UNION ALL
SELECT 'journal row ' || e.row, 'is of ' || e.sign * e.fen || ' fen and clears ' || IFNULL(SUM(l.dr), 0)
FROM entry e LEFT JOIN line l ON l.row = e.row AND l.account = 119100 GROUP BY e.row HAVING e.sign * e.fen <> IFNULL(SUM(l.dr), 0)
UNION ALL
SELECT 'journal row ' || e.row, 'is of ' || e.fen || ' fen and gives its dues ' || IFNULL(SUM(p.fen), 0)
FROM entry e LEFT JOIN part p ON p.row = e.row GROUP BY e.row HAVING e.fen <> IFNULL(SUM(p.fen), 0)

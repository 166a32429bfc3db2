WITH x AS (SELECT E'it\'s :a' AS e, $t$ :b $t$ /* :c /* nested */ */) SELECT "odd"" :d", x := :d FROM x -- :a
;
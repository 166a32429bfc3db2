(SELECT E'a'
 'b\'' , U&'d' , a[1:2], :a) UNION VALUES (:b, :b|like, :a|like)
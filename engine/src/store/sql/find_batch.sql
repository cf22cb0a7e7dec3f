SELECT committed FROM batches WHERE id = $1

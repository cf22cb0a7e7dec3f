SELECT tenant FROM blobs WHERE id = $1

SELECT tenant FROM human_tasks WHERE id = $1

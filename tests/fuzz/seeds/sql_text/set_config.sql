SELECT "set_configs", 'set_config', u & "set_config"('default_transaction_read_only', 'off', false) -- U&"x"

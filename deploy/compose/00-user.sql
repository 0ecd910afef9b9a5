-- The daemon's user, with what it needs and no more (the same grants as in the README).
CREATE USER 'magento_cdc'@'%' IDENTIFIED BY 'try';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'magento_cdc'@'%';
GRANT SELECT ON `magento`.* TO 'magento_cdc'@'%';

//! The two servers together, owned by one process at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::bounds;
use crate::config::{Provide, StackConfig};
use crate::database;
use crate::error::{Server, StackError};
use crate::home::Home;
use crate::lock::HomeLock;
use crate::postgres_server::{PostgresServer, VALET};
use crate::programs;
use crate::redis_server::{self, RedisServer};
use crate::secrets::Secrets;
use crate::state::StateFile;
use crate::{template, temporary};

/// What the servers call themselves, such as `15.18` and `7.0.15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub postgres: String,
    pub redis: String,
}

/// The main processes of the private servers; `None` while one is stopped or when it is external.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pids {
    pub postgres: Option<u32>,
    pub redis: Option<u32>,
}

/// Which servers were taken over from an owner that had been killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub postgres: bool,
    pub redis: bool,
}

/// A running Postgres and Redis. Dropping it ends the ones it started or adopted; [`Stack::stop`] does so
/// with more patience and reports what went wrong.
pub struct Stack {
    urls: Urls,
    versions: Versions,
    adopted: Adopted,
    // Dropped in this order: the servers, their temporary directory, and last the lock that keeps others off.
    postgres: Option<Mutex<PostgresServer>>,
    redis: Option<Mutex<RedisServer>>,
    state: Option<Arc<StateFile>>,
    _temporary: Option<TempDir>,
    lock: StdMutex<Option<HomeLock>>,
}

struct Urls {
    database: String,
    database_tcp: Option<String>,
    admin: Option<String>,
    redis: String,
}

impl fmt::Debug for Stack {
    /// Without the URLs, which carry passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("versions", &self.versions)
            .field("pids", &self.pids())
            .field("adopted", &self.adopted)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// Starts, adopts or connects to both servers, and gives them back when they answer.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        Self::open(config, None).await
    }

    /// A stack of its own in a temporary directory, for tests. Its end throws the data away.
    ///
    /// When its process is killed the servers stay; a later temporary stack of the same user clears them.
    pub async fn temporary(durable: bool) -> Result<Self, StackError> {
        Self::temporary_with(durable, BTreeMap::new()).await
    }

    /// The same, with these Postgres settings over the usual ones, for what is measured.
    pub async fn temporary_with(
        durable: bool,
        postgres_settings: BTreeMap<String, String>,
    ) -> Result<Self, StackError> {
        let dir = temporary::directory().await?;
        let closed_home_root = dir.path().join("elsewhere");
        let config = StackConfig { durable, postgres_settings, closed_home_root, ..StackConfig::new(dir.path()) };
        if !durable
            && let Some(base) = dir.path().parent()
            && let Err(error) = template::fill(&config, base).await
        {
            tracing::warn!(%error, "no template can be copied; the data are made anew");
        }
        Self::open(config, Some(dir)).await
    }

    async fn open(config: StackConfig, temporary: Option<TempDir>) -> Result<Self, StackError> {
        let discard = temporary.is_some();
        let private = matches!(config.postgres, Provide::Private) || matches!(config.redis, Provide::Private);
        let place = if private { Some(Place::take(&config).await?) } else { None };
        // Both at once; when one fails the other is dropped, which ends it.
        let (postgres, redis) =
            tokio::try_join!(postgres(&config, place.as_ref(), discard), redis(&config, place.as_ref()))?;
        Ok(Self {
            urls: Urls {
                database: postgres.url,
                database_tcp: postgres.tcp_url,
                admin: postgres.admin_url,
                redis: redis.url,
            },
            versions: Versions { postgres: postgres.version, redis: redis.version },
            adopted: Adopted { postgres: postgres.adopted, redis: redis.adopted },
            postgres: postgres.server.map(Mutex::new),
            redis: redis.server.map(Mutex::new),
            _temporary: temporary,
            state: place.as_ref().map(|place| Arc::clone(&place.state)),
            lock: StdMutex::new(place.map(|place| place.lock)),
        })
    }

    /// For Valet's role and database; over a Unix socket when the server is private. Carries a password.
    pub fn database_url(&self) -> &str {
        &self.urls.database
    }

    /// The same over TCP, if [`StackConfig::postgres_tcp`] asked for it.
    pub fn database_url_tcp(&self) -> Option<&str> {
        self.urls.database_tcp.as_deref()
    }

    /// For a private server's superuser: what Valet itself never needs, benchmarks' measurements may.
    pub fn admin_url(&self) -> Option<&str> {
        self.urls.admin.as_deref()
    }

    /// Carries a password.
    pub fn redis_url(&self) -> &str {
        &self.urls.redis
    }

    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    pub fn adopted(&self) -> Adopted {
        self.adopted
    }

    /// Only of processes that live: a server that died on its own is missing here.
    pub fn pids(&self) -> Pids {
        let state = self.state.as_ref().map(|state| state.get());
        let alive = |process: Option<crate::process::Identity>| {
            process.filter(crate::process::Identity::is_alive).map(|p| p.pid)
        };
        let state = state.unwrap_or_default();
        Pids {
            postgres: state.postgres.and_then(|server| alive(server.process)),
            redis: state.redis.and_then(|server| alive(server.process)),
        }
    }

    pub async fn stop_postgres(&self) -> Result<(), StackError> {
        self.own_postgres()?.lock().await.stop().await
    }

    /// At the address it had. Nothing happens if it runs.
    pub async fn start_postgres(&self) -> Result<(), StackError> {
        self.own_postgres()?.lock().await.start().await
    }

    pub async fn restart_postgres(&self) -> Result<(), StackError> {
        let mut server = self.own_postgres()?.lock().await;
        server.stop().await?;
        server.start().await
    }

    pub async fn stop_redis(&self) -> Result<(), StackError> {
        self.own_redis()?.lock().await.stop().await
    }

    /// At the address it had, and empty. Nothing happens if it runs.
    pub async fn start_redis(&self) -> Result<(), StackError> {
        self.own_redis()?.lock().await.start().await
    }

    pub async fn restart_redis(&self) -> Result<(), StackError> {
        let mut server = self.own_redis()?.lock().await;
        server.stop().await?;
        server.start().await
    }

    /// Makes an empty database on this server and gives its URL, so that many tests can share one server.
    pub async fn create_database(&self, name: &str) -> Result<String, StackError> {
        database::create(self.database_url(), name).await?;
        match &self.postgres {
            Some(server) => Ok(server.lock().await.url(name)),
            None => database::url_of(self.database_url(), name),
        }
    }

    /// Removes a database and ends the sessions that use it; one that is missing is fine.
    pub async fn drop_database(&self, name: &str) -> Result<(), StackError> {
        database::remove(self.database_url(), name).await
    }

    /// Ends the servers and lets others use the data directory. A second call does nothing.
    pub async fn stop(&self) -> Result<(), StackError> {
        let redis = async {
            match &self.redis {
                Some(server) => server.lock().await.stop().await,
                None => Ok(()),
            }
        };
        let postgres = async {
            match &self.postgres {
                Some(server) => {
                    let mut server = server.lock().await;
                    server.stop().await?;
                    server.forget_places();
                    Ok(())
                }
                None => Ok(()),
            }
        };
        let (redis, postgres) = tokio::join!(redis, postgres);
        postgres.and(redis)?;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }

    fn own_postgres(&self) -> Result<&Mutex<PostgresServer>, StackError> {
        self.postgres.as_ref().ok_or(StackError::NotOurs { server: Server::Postgres })
    }

    fn own_redis(&self) -> Result<&Mutex<RedisServer>, StackError> {
        self.redis.as_ref().ok_or(StackError::NotOurs { server: Server::Redis })
    }
}

/// What both private servers share.
pub(crate) struct Place {
    pub(crate) home: Arc<Home>,
    pub(crate) state: Arc<StateFile>,
    pub(crate) secrets: Secrets,
    lock: HomeLock,
}

impl Place {
    pub(crate) async fn take(config: &StackConfig) -> Result<Self, StackError> {
        let home = Home::prepare(config).await?;
        let lock = HomeLock::take(&home.lock(), &home.root)?;
        let secrets = Secrets::load_or_draw(&home.secrets(), &home.postgres())?;
        let state = StateFile::load(home.state());
        Ok(Self { home: Arc::new(home), state: Arc::new(state), secrets, lock })
    }
}

/// One server as [`Stack::open`] gets it, private or external.
struct Opened<S> {
    server: Option<S>,
    url: String,
    tcp_url: Option<String>,
    admin_url: Option<String>,
    version: String,
    adopted: bool,
}

async fn postgres(
    config: &StackConfig,
    place: Option<&Place>,
    discard: bool,
) -> Result<Opened<PostgresServer>, StackError> {
    match (&config.postgres, place) {
        (Provide::Private, Some(place)) => {
            let server = PostgresServer::open(
                Arc::clone(&place.home),
                Arc::clone(&place.state),
                place.secrets.clone(),
                config.clone(),
                discard,
            )
            .await?;
            Ok(Opened {
                url: server.url(VALET),
                tcp_url: server.tcp_url(VALET),
                admin_url: Some(server.admin_url()),
                version: server.version().to_owned(),
                adopted: server.was_adopted(),
                server: Some(server),
            })
        }
        (Provide::External(url), _) => {
            let options = database::options(url)?;
            let version = database::version(&options, bounds::EXTERNAL_ANSWER).await;
            external(Server::Postgres, url, version)
        }
        (Provide::Private, None) => unreachable!("a private server has a place"),
    }
}

async fn redis(config: &StackConfig, place: Option<&Place>) -> Result<Opened<RedisServer>, StackError> {
    match (&config.redis, place) {
        (Provide::Private, Some(place)) => {
            let server = RedisServer::open(
                Arc::clone(&place.home),
                Arc::clone(&place.state),
                place.secrets.redis.clone(),
                config,
            )
            .await?;
            Ok(Opened {
                url: server.url(),
                tcp_url: None,
                admin_url: None,
                version: server.version().to_owned(),
                adopted: server.was_adopted(),
                server: Some(server),
            })
        }
        (Provide::External(url), _) => {
            let version = redis_server::version(url, bounds::EXTERNAL_ANSWER).await;
            external(Server::Redis, url, version)
        }
        (Provide::Private, None) => unreachable!("a private server has a place"),
    }
}

fn external<S>(server: Server, url: &str, version: Result<String, String>) -> Result<Opened<S>, StackError> {
    let version = version.map_err(|reason| StackError::ExternalSilent { server, reason })?;
    if programs::major(&version).is_some_and(|major| major < server.least_major()) {
        return Err(StackError::TooOld { server, found: version });
    }
    Ok(Opened { server: None, url: url.to_owned(), tcp_url: None, admin_url: None, version, adopted: false })
}

//! The installation that `sluice demo` shows: models with the limits one provider really has, and three workspaces.

use std::net::SocketAddr;

/// Where `demo.toml` expects the stand-in provider; replaced by its real address.
const EXAMPLE_ADDR: &str = "127.0.0.1:9900";

/// The workspaces of the demo, in the order of [`crate::traffic`]'s habits.
pub const WORKSPACES: [&str; 3] = ["search", "support", "research"];

/// The file for `sluice apply`, with the stand-in provider at `provider`.
pub fn demo_file(provider: SocketAddr) -> String {
    include_str!("../demo.toml").replace(EXAMPLE_ADDR, &provider.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Cause, check_workspace_limit};
    use toml::{Table, Value};

    fn number(table: &Table, name: &str) -> Option<u64> {
        table.get(name).map(|it| u64::try_from(it.as_integer().unwrap()).unwrap())
    }

    fn tables<'a>(value: &'a Table, name: &str) -> Vec<&'a Table> {
        value[name].as_array().unwrap().iter().map(|it| it.as_table().unwrap()).collect()
    }

    #[test]
    fn every_grant_names_a_model_and_stays_within_its_limits() {
        let file: Table = demo_file(SocketAddr::from(([127, 0, 0, 1], 4))).parse().unwrap();
        assert_eq!(file["provider"][0]["openai_base_url"].as_str(), Some("http://127.0.0.1:4/compatible-mode/v1"));
        let models = tables(&file, "model");
        let workspaces = tables(&file, "workspace");
        let names: Vec<&str> = workspaces.iter().filter_map(|it| it["name"].as_str()).collect();
        assert_eq!(names, WORKSPACES);
        for workspace in workspaces {
            for grant in tables(workspace, "models") {
                let model = models.iter().find(|it| it["code"] == grant["code"]).unwrap();
                check_workspace_limit(number(grant, "rpm"), number(model, "rpm"), Cause::Requests).unwrap();
                check_workspace_limit(number(grant, "tpm"), number(model, "tpm"), Cause::Tokens).unwrap();
            }
        }
        for model in models {
            let backup = model.get("backup").and_then(Value::as_str);
            assert!(
                backup.is_none_or(|it| file["model"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|m| m["code"].as_str() == Some(it)))
            );
        }
    }

    #[test]
    fn habits_call_only_what_their_workspace_may() {
        let file: Table = demo_file(SocketAddr::from(([127, 0, 0, 1], 4))).parse().unwrap();
        for workspace in tables(&file, "workspace") {
            let granted: Vec<&Value> = tables(workspace, "models").iter().map(|it| &it["code"]).collect();
            for habit in crate::traffic::habits(workspace["name"].as_str().unwrap()) {
                assert!(granted.iter().any(|it| it.as_str() == Some(habit.model)), "{}", habit.model);
            }
        }
    }
}
